"""What our own verbs take on the command line, see `vista.app.parser`; light, so that their help is there at once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from vista.app.parser import parse
from vista.page.limits import Limits

Form = Literal[
    "jsonl", "vqa", "coco_caption", "pope", "llava", "lmms_eval", "ms_swift", "coco", "ref_l4"
]  # fmt: skip
Dtype = Literal["float16", "bfloat16", "float32"]


@dataclass(frozen=True)
class DataRoot:
    """Where official files lie.

    Attributes:
        root: data root, in the place of the configs'.
    """

    root: Path | None = None


@dataclass(frozen=True)
class ScoringOptions:
    """How much is scored.

    Attributes:
        max_test: score only what `test --data.scoring.max_test N` asks about; null: all.
    """

    max_test: int | None = None


@dataclass(frozen=True)
class ScoredData(DataRoot):
    """What is scored.

    Attributes:
        scoring: how much is scored.
    """

    scoring: ScoringOptions = ScoringOptions()


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What every verb takes that reads the sources of configs.

    Attributes:
        config: names or paths of configs; where two speak of one setting, the later decides.
        plugin: Python files that bring tasks and readers.
        data: where official files lie.
    """

    config: list[str] = field(default_factory=list)
    plugin: list[str] = field(default_factory=list)
    data: DataRoot = DataRoot()


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(SourceOptions):
    """Score answers in files, without a model.

    Attributes:
        predictions: files with answers.
        compare: two runs, their folders, or two files with answers to the same questions.
        task: their tasks; the name of the score tells them too.
        source: name of the score, if the file has another stem.
        format: form of the files.
        data: what is scored.
    """

    predictions: list[str] = field(default_factory=list)
    compare: list[str] = field(default_factory=list)
    task: list[str] = field(default_factory=list)
    source: str = ""
    format: Form = "jsonl"
    data: ScoredData = ScoredData()


@dataclass(frozen=True, kw_only=True)
class ReportOptions(ScoreOptions):
    """Write all that is known of runs, or of answers in files, as one page and as tables.

    Attributes:
        runs: by name or folder; where nothing is named, the newest finished one.
        predictions: files with answers, beside the runs or in their place.
        compare: two runs or two files, whose answers are also compared one by one.
        task: only scores of these tasks.
        source: only the score of this name; of files with another stem, the score that they are for.
        out: the page, an HTML file; the tables go beside it as .md and .tex.
    """

    runs: list[str] = field(default_factory=list)
    out: Path = Path("report.html")


@dataclass(frozen=True, kw_only=True)
class OthersOptions(SourceOptions):
    """Ask somebody else's model, and score it on the test splits.

    Attributes:
        answers_by: `hf`: a model of transformers; `url`: one behind an OpenAI-compatible endpoint.
        model: folder or name of the model; at a URL, its name there.
        url: of the endpoint, up to /v1; a key is read from the environment's OPENAI_API_KEY.
        family: at a URL, the model type whose conventions of coordinates are kept, such as qwen2_5_vl.
        task: only sources of these tasks.
        name: folder of the answers below runs/; the model's name, if it is left out.
        batch_size: questions at once.
        max_new_tokens: longest answer.
        device: such as cpu or cuda; auto: a GPU if there is one.
        dtype: of the weights, such as bfloat16; auto: as they are saved.
        timeout: seconds for which a reply of an endpoint is waited for.
        mask_decoder: of PaliGemma, the file of its mask decoder (vae-oid.npz); without it no masks are asked for.
        data: what is scored.
    """

    answers_by: Literal["hf", "url"]
    model: str
    url: str = ""
    family: str = ""
    task: list[str] = field(default_factory=list)
    name: str = ""
    batch_size: int = 8
    max_new_tokens: int = 512
    device: str = "auto"
    dtype: str = "auto"
    timeout: float = 120.0
    mask_decoder: str = ""
    data: ScoredData = ScoredData()


@dataclass(frozen=True, kw_only=True)
class CheckTaskOptions(SourceOptions):
    """Check that tasks keep the contract; `check-task NAME` is short for `check-task --task NAME`.

    Attributes:
        task: names of the tasks.
        limit: annotations of each source.
    """

    task: list[str]
    limit: int = 60


@dataclass(frozen=True)
class DataOptions(SourceOptions):
    """Look at the data of a config.

    Attributes:
        action: `audit`: overlaps with test images; `verify`: numbers of samples; `show`: a page of samples.
        task: only sources of these tasks.
        source: of `show`: the source.
        split: of `show`: the split; else the one that is trained on, or the first that there is.
        n: of `show`: how many samples.
        out: of `show`: the page, an HTML file.
    """

    action: Literal["audit", "verify", "show"]
    task: list[str] = field(default_factory=list)
    source: str = ""
    split: str = ""
    n: int = 20
    out: Path | None = None


@dataclass(frozen=True)
class ConsolidateOptions:
    """Write the weights of a sharded checkpoint into one file.

    Attributes:
        run: a run, its folder, or the folder of a sharded checkpoint.
        out: file to write, for --ckpt_path or --model.init_from.
    """

    run: str
    out: Path


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Write a model as one folder, which transformers reads and every verb takes by --ckpt_path.

    Attributes:
        ckpt_path: a checkpoint, a run, or an exported folder; empty: the newest finished run.
        out: folder to write; it must not be there, or be empty.
        dtype: of the numbers in it.
        push: name of a model on the Hugging Face hub, owner/name, to upload the folder to; it is made if it is not
            there, for its owner's eyes alone.
        config: configs of a checkpoint that lies in no run's folder.
    """

    ckpt_path: str = ""
    out: Path
    dtype: Dtype = "float16"
    push: str = ""
    config: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PlanOptions(SourceOptions):
    """Say what a run will cost: memory, operations, hours and the size of a checkpoint. Nothing is trained.

    Attributes:
        nodes: machines; null: as trainer.num_nodes says.
        cards: of a machine; null: as trainer.devices says, 8 where that is `auto`.
        card_gb: memory of a card that may be used, in 10^9 bytes.
        tflops: peak of a card, in 10^12 operations a second; 312: an A100 in bfloat16.
        mfu: share of that peak that training reaches.
    """

    nodes: int | None = None
    cards: int | None = None
    card_gb: float = 80.0
    tflops: float = 312.0
    mfu: float = 0.4


@dataclass(frozen=True)
class DoctorOptions(SourceOptions):
    """Look at all that a training needs, on every process: a line a check, exit code 1 with any fault.

    Attributes:
        ckpt_path: the checkpoint or run that is to be resumed, if one is.
    """

    ckpt_path: str = ""


@dataclass(frozen=True)
class DemoOptions:
    """Ask a model about pictures on a web page, which this machine alone reaches.

    Attributes:
        ckpt_path: a checkpoint, a run, or an exported folder; empty: the newest finished run, else the weights that
            come with the clone.
        port: of the page on this machine; 0: any free one.
        config: configs of a checkpoint that lies in no run's folder.
        plugin: Python files that bring tasks.
        limits: how much one person may ask for.
    """

    ckpt_path: str = ""
    port: int = 7860
    config: list[str] = field(default_factory=list)
    plugin: list[str] = field(default_factory=list)
    limits: Limits = Limits()  # noqa: RUF009 (frozen)


Options: TypeAlias = (
    ScoreOptions
    | ReportOptions
    | OthersOptions
    | CheckTaskOptions
    | DataOptions
    | ConsolidateOptions
    | ExportOptions
    | PlanOptions
    | DoctorOptions
    | DemoOptions
)


def parse_options(verb: str, words: list[str]) -> Options:
    """What the words after a verb say.

    Raises:
        InputError: an option or its value is not understood; one sentence.
    """
    if verb == "score":
        return parse(verb, ScoreOptions, words)
    if verb == "report":
        return parse(verb, ReportOptions, words)
    if verb == "others":
        return parse("test --answers_by", OthersOptions, words)
    if verb == "check-task":
        named = bool(words) and not words[0].startswith("-")
        return parse("check-task [NAME ...]", CheckTaskOptions, ["--task"] * named + words)
    if verb == "data":
        return parse(verb, DataOptions, words, positional=True)
    if verb == "export":
        return parse(verb, ExportOptions, words)
    if verb == "plan":
        return parse(verb, PlanOptions, words)
    if verb == "doctor":
        return parse(verb, DoctorOptions, words)
    if verb == "demo":
        return parse(verb, DemoOptions, words)
    return parse(verb, ConsolidateOptions, words, positional=True)
