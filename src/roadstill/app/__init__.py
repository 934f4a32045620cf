"""A page in the browser for one run folder: its sets, its arms side by side, and its generators to play with.

`roadstill app` serves it on this machine alone. All that it shows comes from the functions of `browse`, `arms` and
`play`; `page` puts them on the screen, and `guard` decides who is answered.
"""
