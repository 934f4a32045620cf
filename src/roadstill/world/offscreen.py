"""The one file that touches Panda3D: an off-screen software picture of triangle batches, without display or GPU."""

import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray
from panda3d.core import Camera as LensNode
from panda3d.core import (
    FrameBufferProperties,
    Geom,
    GeomNode,
    GeomTriangles,
    GeomVertexData,
    GeomVertexFormat,
    GraphicsEngine,
    GraphicsOutput,
    GraphicsPipe,
    GraphicsPipeSelection,
    NodePath,
    PerspectiveLens,
    Texture,
    WindowProperties,
    loadPrcFileData,
)

_VERTEX = np.dtype([("point", "<f4", 3), ("colour", "u1", 4)])
_SETTINGS = "load-display p3tinydisplay\nwindow-type none\naudio-library-name null\n"


class Batch:
    """Triangles on their way to the picture; only the colours may change from frame to frame."""

    def __init__(self, points: NDArray[np.float32], triangles: NDArray[np.int32], kinds: NDArray[np.uint8]) -> None:
        self._rows = np.zeros(len(points), _VERTEX)
        self._rows["point"] = points
        self._rows["colour"][:, 3] = kinds
        self._data = GeomVertexData("batch", GeomVertexFormat.getV3c4(), Geom.UHDynamic)
        self._data.uncleanSetNumRows(len(points))
        primitive = GeomTriangles(Geom.UHStatic)
        primitive.setIndexType(Geom.NTUint32)
        index = primitive.modifyVertices()
        index.uncleanSetNumRows(triangles.size)
        index.modifyHandle().copyDataFrom(np.ascontiguousarray(triangles, np.uint32).tobytes())
        geom = Geom(self._data)
        geom.addPrimitive(primitive)
        node = GeomNode("batch")
        node.addGeom(geom)
        self.node = NodePath(node)
        self._geom_node = node

    def colour(self, colours: NDArray[np.float32]) -> None:
        """Sets the vertex colours ``[n, 3]``, 0 to 1 (outside values are clipped)."""
        self._rows["colour"][:, :3] = np.clip(colours * 255.0 + 0.5, 0, 255).astype(np.uint8)
        data = self._geom_node.modifyGeom(0).modifyVertexData()
        data.modifyArrayHandle(0).copyDataFrom(self._rows.tobytes())


class Canvas:
    """An off-screen colour and depth buffer with a pinhole camera.

    Args:
        width_px: width of the buffer.
        height_px: height of the buffer.
        focal_px: focal length in pixels of the buffer; the principal point is the centre.
    """

    def __init__(self, width_px: int, height_px: int, focal_px: float) -> None:
        loadPrcFileData("roadstill", _SETTINGS)
        self.width_px, self.height_px = width_px, height_px
        pipe = GraphicsPipeSelection.getGlobalPtr().makePipe("TinyOffscreenGraphicsPipe", "p3tinydisplay")
        if pipe is None:
            raise RuntimeError("this build of panda3d has no software renderer (p3tinydisplay); reinstall panda3d")
        wanted = FrameBufferProperties()
        wanted.setRgbaBits(8, 8, 8, 8)
        wanted.setDepthBits(24)
        self._engine: Any = GraphicsEngine.getGlobalPtr()
        size = WindowProperties.size(width_px, height_px)
        self._buffer = self._engine.makeOutput(pipe, "roadstill", 0, wanted, size, GraphicsPipe.BFRefuseWindow)
        self._texture = Texture()
        self._buffer.addRenderTexture(self._texture, GraphicsOutput.RTMCopyRam, GraphicsOutput.RTPColor)
        self._buffer.setClearColor((0, 0, 0, 0))
        self._root = NodePath("world")
        self._root.setTwoSided(True)
        lens = PerspectiveLens()
        lens.setFilmSize(width_px, height_px)
        lens.setFocalLength(focal_px)
        lens.setNearFar(0.4, 420.0)
        self._camera = self._root.attachNewNode(LensNode("camera", lens))
        self._buffer.makeDisplayRegion().setCamera(self._camera)
        self._buffer.setActive(False)
        self._finish = weakref.finalize(self, self._engine.removeWindow, self._buffer)

    def draw(self, batches: list[Batch], position: tuple[float, float, float], yaw_rad: float) -> NDArray[np.uint8]:
        """Draws the batches: uint8 ``[h, w, 4]``, red green blue and the kind of what is seen (0 = sky)."""
        self._camera.setPos(*position)
        self._camera.setHpr(float(np.degrees(yaw_rad)) - 90.0, 0, 0)
        for order, batch in enumerate(batches):
            batch.node.setBin("fixed", order)  # else Panda3D sorts by address, and equal depths come out by chance
            batch.node.reparentTo(self._root)
        self._buffer.setActive(True)
        self._engine.renderFrame()
        self._buffer.setActive(False)
        for batch in batches:
            batch.node.detachNode()
        raw = np.frombuffer(self._texture.getRamImage(), np.uint8).reshape(self.height_px, self.width_px, 4)
        return raw[::-1][..., [2, 1, 0, 3]]

    def close(self) -> None:
        """Gives the buffer back."""
        self._finish()
