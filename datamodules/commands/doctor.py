"""`doctor`: all that a training needs, looked at before it begins; a line a check, and what to do.

    python main.py doctor --config stage1 --config vicuna_7b --config coinit --config fsdp
    torchrun --nnodes 4 --nproc-per-node 8 ... main.py doctor --config ...

Every process looks for itself. All checks are made, whatever one of them finds; the exit code is 1 with any fault.
"""

import sys
from collections.abc import Callable, Iterable, Iterator

from datamodules.commands.bare import (
    Run,
    bare_model,
    put_on_adapters,
    read_run,
    read_tokenizer,
)
from datamodules.commands.configured import Setup, read_setup
from datamodules.commands.health.finding import Finding, examine
from datamodules.commands.health.machine import look_at_disk, look_at_extras, look_at_loading
from datamodules.commands.health.sources import look_at_sources
from datamodules.commands.health.together import (
    Processes,
    config_digest,
    connect,
    disconnect,
    gather,
    look_at_digests,
    look_at_exchange,
    of_environment,
    order_digest,
)
from datamodules.commands.health.weights import look_at_checkpoint, look_at_weights
from datamodules.commands.options import DoctorOptions
from datamodules.commands.plan import vocabularies
from vista.models.pixels import pixels_of
from vista.models.vistallm import VistaLLM
from vista.module import check_frozen_dtype
from vista.printable import say
from vista.tokens.tokenizer import Tokenizer
from vista.training.footprint import checkpoint_bytes


class Doctor:
    """What one process finds; a check that cannot be made for want of another one is left out."""

    def __init__(self, options: DoctorOptions, processes: Processes) -> None:
        """Begin.

        Args:
            options: of the command line.
            processes: who this process is.
        """
        self.options, self.processes = options, processes
        self.findings: list[Finding] = []
        self.digests: dict[str, str] = {}
        self.setup: Setup | None = None
        self.run: Run | None = None
        self.tokenizer: Tokenizer | None = None
        self.model: VistaLLM | None = None

    def check(self, name: str, look: Callable[[], Iterable[Finding]]) -> None:
        """Make a check, and keep what it finds."""
        self.findings += examine(name, look)

    def look_alone(self) -> None:
        """All that needs no other process."""
        self.check("config", self._read)
        if self.setup is None or self.run is None:
            return
        setup, run = self.setup, self.run
        self.check("tokenizer", self._read_tokenizer)
        self.check("model", self._build)
        self.check("data", lambda: look_at_sources(setup, run.data["allow_missing"]))
        self.check("order", self._order)
        if self.model is not None:
            self._look_at_model(setup, run, self.model)
        self.check("extras", lambda: look_at_extras(setup.settings))

    def _look_at_model(self, setup: Setup, run: Run, model: VistaLLM) -> None:
        size = pixels_of(model.vision_model.config).size
        world, local = self.processes.size, self.processes.local
        self.check("weights", lambda: look_at_weights(setup.settings, model))
        tokenizer = self.tokenizer
        if tokenizer is not None:
            resumed = self.options.ckpt_path
            self.check(
                "checkpoint", lambda: look_at_checkpoint(setup, run, tokenizer, model, resumed)
            )
        if run.model["adapters"].targets:  # weights and checkpoints were compared without them
            self.check("adapters", lambda: self._put_on_adapters(run, model))
        self.check("disk", lambda: look_at_disk(checkpoint_bytes(model, run.model["optimization"])))
        self.check("loading", lambda: look_at_loading(run, size, world, local))

    def _read(self) -> Iterator[Finding]:
        options = self.options
        self.setup = read_setup(options.config, options.data.root, options.plugin)
        self.digests["config"] = config_digest(self.setup.settings)
        run = read_run(self.setup.settings)
        check_frozen_dtype(run.model["frozen_dtype"], run.trainer["precision"])
        self.run = run
        yield Finding(
            "config", f"{len(self.setup.sources)} sources, digest {self.digests['config']}"
        )

    def _read_tokenizer(self) -> Iterator[Finding]:
        assert self.setup is not None
        self.tokenizer = read_tokenizer(self.setup)
        yield Finding("tokenizer", f"{len(self.tokenizer):,} pieces")

    def _build(self) -> Iterator[Finding]:
        assert self.setup is not None
        self.model = bare_model(self.setup.settings, vocabularies(self.tokenizer))
        yield Finding("model", f"{sum(p.numel() for p in self.model.parameters()):,} parameters")

    def _put_on_adapters(self, run: Run, model: VistaLLM) -> Iterator[Finding]:
        put_on_adapters(model, run, vocabularies(self.tokenizer))
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        yield Finding(
            "adapters", f"{trained:,} parameters are trained, those of adapters among them"
        )

    def _order(self) -> Iterator[Finding]:
        assert self.setup is not None and self.run is not None
        if self.setup.root.name == "world" and not self.setup.root.exists():
            self.digests["order"] = "of a world that will be written"
            return
        self.digests["order"] = order_digest(self.setup, self.run)
        yield Finding("order", f"digest {self.digests['order']}")


def main(options: DoctorOptions) -> None:
    """Look at everything, and print what is found; the first process prints for all.

    Raises:
        SystemExit: with status 1 where there is a fault.
    """
    processes = of_environment()
    doctor = Doctor(options, processes)
    doctor.look_alone()
    if processes.size > 1:
        connect(processes)
        doctor.check("exchange", lambda: look_at_exchange(processes))
    digests = gather(doctor.digests, processes)
    found = gather(doctor.findings, processes)
    together = list(look_at_digests(digests)) if processes.size > 1 else []
    disconnect()
    lines = [*merged(found), *together]
    if processes.rank == 0:
        say(*map(line, lines))
        num_faults = sum(not each.ok for each in lines)
        say(f"{len(lines)} checks, {num_faults} faults")
    if not all(each.ok for each in lines):
        sys.exit(1)


def line(finding: Finding) -> str:
    """`ok     data refcoco (val)    10,834 samples`."""
    return f"{'ok' if finding.ok else 'fault:':6s} {finding.check:32s} {finding.text}"


def merged(found: list[list[Finding]]) -> list[Finding]:
    """A line for each check: rank 0's where nothing is wrong, else every fault with the ranks that have it."""
    ranks_of: dict[Finding, list[int]] = {}
    for rank, findings in enumerate(found):
        for finding in findings:
            if not finding.ok or rank == 0:
                ranks_of.setdefault(finding, []).append(rank)
    faulty = {finding.check for finding in ranks_of if not finding.ok}
    lines = []
    for finding, ranks in ranks_of.items():
        if finding.ok and finding.check in faulty:
            continue
        where = f"rank {', '.join(map(str, ranks))}: " if not finding.ok and len(found) > 1 else ""
        lines.append(Finding(finding.check, f"{where}{finding.text}", finding.ok))
    return lines
