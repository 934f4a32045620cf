"""The stages that make a generator: latents, fine-tunings; and the teacher."""

from pathlib import Path

from roadstill.agents import train_agent
from roadstill.codecs.latents import encode_imageset, open_latents
from roadstill.generator.finetune import finetune
from roadstill.generator.noising import draw_noising
from roadstill.parallel import Workers
from roadstill.pipeline.jobs import Job, do_all
from roadstill.pipeline.road import Road
from roadstill.pipeline.small_sets import asks_teacher, needs_teacher
from roadstill.runs import digest_file, seed_of
from roadstill.weights import shipped


def encode(road: Road) -> None:
    """Latents of the train part, and the noising strips (thesis figure 3.5)."""
    codec = Path(road.recipe.codec) if road.recipe.codec else shipped("codec.safetensors")
    tunings = [road.recipe.pretrain, *(arm.finetune for arm in road.recipe.arms.values())]
    attributes = sorted({name for tuning in tunings if tuning for name in tuning.attributes.names})
    # A file's digest spares opening it when all is done.
    digest = digest_file(codec) if codec.is_file() else road.codec.digest
    asked = {"attributes": attributes} if attributes else {}
    stage = road.stage("encode", {"codec": digest} | asked, "sets", product=["encode", "figures"])
    if stage.done:
        return
    images, out = road.split("train"), road.folder / "encode"
    encode_imageset(images, road.codec, out, attributes=attributes)
    draw_noising(images, road.codec, road.folder / "figures")
    stage.finish()


def pretrain(road: Road) -> None:
    """The base generator from scratch, if the recipe wants one; what was stopped goes on where it was."""
    config = road.recipe.pretrain
    if config is None:
        return
    stage = road.stage("pretrain", config, "encode", product=["pretrain"])
    if not stage.done:
        assert road.base
        finetune(open_latents(road.folder / "encode"), base=None, out=road.base, config=config, seed=0)
        stage.finish()


def finetune_arms(road: Road, workers: Workers) -> None:
    """One fine-tuning per arm that has one, and the teacher; what was stopped goes on where it was."""
    jobs: list[Job] = []
    for name, arm in road.recipe.arms.items():
        if arm.finetune:
            settings = {"config": arm.finetune, "base": road.base_digest}
            stage = road.stage(f"finetune-{name}", settings, "encode", product=[f"finetune/{name}"], later=True)
            jobs += [] if stage.done else [(finetune_arm, name, stage)]
    agents = [(arm, road.recipe.agent_for(name, other)) for name, arm in road.recipe.arms.items()
              for other in (None, *road.recipe.others)]  # fmt: skip
    soft = any(asks_teacher(arm, agent) for arm, agent in agents)
    if soft or any(needs_teacher(arm, road.recipe.features) for arm in road.recipe.arms.values()):
        stage = road.stage("teacher", road.recipe.full_agent, "sets", product=["teacher"], later=True)
        jobs += [] if stage.done else [(train_teacher, stage)]
    do_all(road, workers, jobs)


def finetune_arm(road: Road, name: str) -> None:
    """The generator of one arm."""
    config = road.recipe.arms[name].finetune
    assert config
    latents = open_latents(road.folder / "encode")
    finetune(latents, base=road.base, out=road.folder / "finetune" / name, config=config, seed=0)


def train_teacher(road: Road) -> None:
    """An agent that learns from the whole train part, and sees nothing else."""
    # Its seed is none of the arms', so that no full-data agent judges what it chose itself.
    agent = train_agent(
        road.split("train"), config=road.recipe.full_agent, seed=seed_of("teacher"), cache=road.agent_cache
    )
    agent.save(road.folder / "teacher")
