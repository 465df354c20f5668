"""The recipe: one YAML file that says what comes in, what is measured and what is kept.

Everything is checked here or in `pipeline/ledger/rules.py` before any input or output is touched;
the file itself is read by `recipe_file.py`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    IPvAnyAddress,
    IPvAnyNetwork,
    PrivateAttr,
    model_validator,
)

from pairsieve.schemas.columns import COLUMNS, Column, scores_of
from pairsieve.schemas.recipe_alignment import Alignment
from pairsieve.schemas.recipe_base import Section
from pairsieve.schemas.recipe_captions import Captions
from pairsieve.schemas.recipe_external import MAX_PHASH_DISTANCE, Decontaminate, EarlierDatasets
from pairsieve.schemas.recipe_filters import OwnFilters
from pairsieve.schemas.recipe_group import Group
from pairsieve.schemas.recipe_headers import HeadersForAll, HostHeaders, reachable
from pairsieve.schemas.recipe_image import Image as Image
from pairsieve.schemas.recipe_input import Input
from pairsieve.schemas.recipe_keep import Keep, Origin, one_rule
from pairsieve.schemas.recipe_opt_outs import OptOuts
from pairsieve.schemas.recipe_paces import HostPaces
from pairsieve.schemas.recipe_report import Report
from pairsieve.schemas.recipe_resolvers import NameServer
from pairsieve.schemas.recipe_resources import Resources, share_gpu
from pairsieve.schemas.recipe_scores import Concepts, Scores, Tags
from pairsieve.schemas.recipe_scratch import Scratch
from pairsieve.schemas.recipe_shard import Shard, check_text
from pairsieve.schemas.recipe_text import Text

# Keys of `fetch` that img2dataset's downloader can keep; each of the others would be a promise.
IMG2DATASET_KEYS = frozenset(
    (
        "engine", "user_agent", "timeout_s", "retries", "concurrency", "allow_networks", "ports",
        "robots",
    )
)  # fmt: skip


def _off(value: object) -> object:
    """Return `off` for what YAML reads it as."""
    return "off" if value is False else value


class Fetch(Section):
    """How images are fetched. Needed unless the input already holds its images."""

    engine: Literal["pairsieve", "img2dataset"] = Field(
        "pairsieve", description="Whose downloader; what img2dataset's cannot do: img2dataset.md."
    )
    user_agent: Annotated[str, AfterValidator(reachable)] = Field(
        min_length=1,
        description="Honest name and a URL or e-mail address to reach you; sent with every "
        "request. Its first word is the name that robots.txt can address.",
    )
    robots: Literal["obey", "ignore"] = Field(
        "obey", description="Whether robots.txt is requested and obeyed, with its Crawl-delay."
    )
    per_host_per_s: float = Field(
        10, ge=0.001, le=100_000, description="Requests per second that one host sees of the job."
    )
    per_host_connections: int = Field(
        8, ge=1, le=1000, description="Requests under way at once that one host sees of the job."
    )
    hosts: HostPaces = Field(
        {}, description="Paces of single hosts instead, `example.org: {per_s: 2, connections: 1}`."
    )
    crawl_delay_max_s: float = Field(
        60, ge=0, le=86_400, description="A longer Crawl-delay of a robots.txt counts as this, s."
    )
    retry_after_max_s: float = Field(
        60, ge=0, le=86_400, description="A longer Retry-After of an answer counts as this, s."
    )
    host_failures: int = Field(
        20,
        ge=1,
        le=1_000_000,
        description="After so many failures in a row a host is left alone for the rest of a unit.",
    )
    retries: int = Field(2, ge=0, le=10, description="Further attempts after a transient failure.")
    concurrency: int = Field(128, ge=1, le=1000, description="Most transfers at once in a process.")
    timeout_s: float = Field(30, gt=0, le=3600, description="Limit for one whole transfer, s.")
    connect_timeout_s: float = Field(10, gt=0, le=600, description="Limit for connecting, s.")
    first_byte_timeout_s: float = Field(
        15, gt=0, le=600, description="Limit from the request to the end of the answer's header, s."
    )
    min_bytes_per_s: int = Field(
        256, ge=0, description="A body slower than this for 10 s is given up."
    )
    max_bytes: int = Field(
        20_000_000, ge=1, description="Largest body accepted, as received and as decoded, bytes."
    )
    max_header_bytes: int = Field(
        65_536, ge=256, le=262_144, description="Largest header of an answer, bytes."
    )
    max_redirects: int = Field(5, ge=0, le=50, description="Redirects followed.")
    headers: HeadersForAll = Field({}, description="Further headers of every request.")
    host_headers: HostHeaders = Field(
        {}, description="Headers of requests to one host alone, `example.org: {Referer: ...}`."
    )
    cookies: Annotated[Literal["off", "chain"], BeforeValidator(_off)] = Field(
        "off", description="`chain`: a redirect sees what the answers before it have set."
    )
    allow_networks: tuple[IPvAnyNetwork, ...] = Field(
        (), description="Networks that are allowed although they are not on the public web."
    )
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(
        (), description="Ports allowed besides 80 and 443."
    )
    resolve: dict[str, tuple[IPvAnyAddress, ...]] = Field(
        {}, description="Addresses of host names, instead of DNS; `*` stands for every other name."
    )
    resolvers: tuple[NameServer, ...] = Field(
        (),
        description="Name servers, each `ADDRESS` or `ADDRESS:PORT`, at which names are looked up "
        "ahead; default: the system's.",
    )

    @model_validator(mode="before")
    @classmethod
    def _opt_outs_are_a_section(cls, content: Any) -> Any:
        """Refuse the key of earlier versions, whose meaning a section of its own has now."""
        if isinstance(content, dict) and "opt_outs" in content:
            raise ValueError("opt_outs: a section of its own now: `opt_outs: {obey: all}`, or none")
        return content

    @model_validator(mode="after")
    def _kept_by_engine(self) -> Self:
        """Refuse what the engine cannot keep, or what would be sent twice."""
        names = {name.lower() for headers in self.host_headers.values() for name in headers}
        if self.cookies == "chain" and "cookie" in names:
            raise ValueError("`cookies: chain` and a `Cookie` in `host_headers`: choose one")
        lost = sorted(self.model_fields_set - IMG2DATASET_KEYS)
        if self.engine == "img2dataset" and lost:
            raise ValueError(
                f"engine img2dataset cannot keep {', '.join(lost)}; "
                f"it keeps {', '.join(sorted(IMG2DATASET_KEYS))}: remove the former or the engine"
            )
        if self.engine == "img2dataset" and self.robots == "obey":
            raise ValueError(
                "engine img2dataset reads no robots.txt: say `robots: ignore` to agree"
            )
        return self


class Blocklist(Section):
    """What must never enter; the format is in [blocklist.md](blocklist.md)."""

    files: tuple[str, ...] = Field(
        min_length=1, description="Lists: files, folders or globs; local, s3://, gs:// or az://."
    )
    max_distance: int = Field(
        4,
        ge=0,
        le=MAX_PHASH_DISTANCE,
        description="Bits in which a pHash may differ from a listed one that says nothing else.",
    )


class Embed(Section):
    """Which CLIP model turns images and texts into vectors."""

    model: str = Field(description="Name of an open_clip model, or the path of a config (.json).")
    pretrained: str = Field(description="Pretrained tag of that model, or a checkpoint's path.")
    batch: Literal["auto"] | Annotated[int, Field(ge=1, le=65536)] = Field(
        "auto", description="Images or texts per forward pass; `auto` is what fits."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the model runs.")
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = Field(
        "auto", description="Numbers it computes in; `auto` is the fastest that is exact enough."
    )
    compile: bool = Field(False, description="Compile what reads images; on a GPU pays late.")
    mirror: bool = Field(False, description="Measure `mirror_similarity`, in a second pass.")
    num_gpus: float = Field(
        1, gt=0, le=1, description="GPU that one process of the model takes; 0.5: two share one."
    )
    scores: Scores = Field(
        Scores(),
        description="What measures built-in scores, by name; see [scores.md](scores.md).",
    )
    concepts: Concepts = Field(
        {}, description="Probabilities by name, and how each is measured: yours, or `shipped`."
    )
    tags: Tags = Field(
        {}, description="Tags, and the prompts of each; every image gets the most probable one."
    )
    centroids: str | None = Field(
        None, min_length=1, description="Of clusters: `.npy` of floats; see `image_cluster`."
    )
    name: str | None = Field(
        None,
        pattern="^[a-z][a-z0-9_]*$",
        description="Of a further model: what its columns end in, e.g. `clip_similarity_l14`.",
    )

    @model_validator(mode="after")
    def _several_tags(self) -> Self:
        if len(self.tags) == 1:
            raise ValueError("tags: one tag alone is always the most probable; give at least two")
        return self


class Recipe(Section):
    """The whole recipe.

    In the file `embed` is one model or a list of them; here the first is `embed`, the others are
    `other_models`.
    """

    input: Input
    fetch: Fetch | None = None
    opt_outs: OptOuts = OptOuts()
    blocklist: Blocklist | None = None
    known: EarlierDatasets | None = None
    decontaminate: Decontaminate | None = None
    text: Text | None = None
    filters: OwnFilters | None = None
    image: Image = Image()
    embed: Embed | None = None
    other_models: tuple[Embed, ...] = ()
    alignment: Alignment | None = None
    captions: Captions | None = None
    group: Group = Group()
    keep: tuple[Annotated[Keep, BeforeValidator(one_rule)], ...] = ()
    shard: Shard = Shard()
    report: Report = Report()
    scratch: Scratch = Scratch()
    resources: Resources = Resources()
    _origin: Origin = PrivateAttr(Origin())

    @model_validator(mode="before")
    @classmethod
    def _first_and_others(cls, content: Any) -> Any:
        """Part a list of models; an empty one is none."""
        if not isinstance(content, dict):
            return content
        models = share_gpu(content.get("embed"), content.get("resources"))
        if not isinstance(models, list):
            return content | {"embed": models}
        first, *others = models or [None]
        return content | {"embed": first, "other_models": others}

    @model_validator(mode="after")
    def _models_differ(self) -> Self:
        """Refuse models whose columns or vectors would meet."""
        names = [other.name for other in self.other_models]
        known = {column.name for column in COLUMNS}
        if self.embed and self.embed.name:
            raise ValueError("embed: the first model has the plain columns: leave out its `name`")
        for index, name in enumerate(names, 1):
            if name is None:
                raise ValueError(f"embed.{index}: a further model needs a `name`, e.g. `name: l14`")
            if name in names[: index - 1]:
                raise ValueError(f"embed.{index}.name: a second model is called `{name}`")
            if known & {column.name for column in scores_of([name])}:
                raise ValueError(f"embed.{index}.name: with `{name}` two columns would be the same")
        models = [(model.model, model.pretrained) for model in self.models]
        if len(set(models)) < len(models):
            raise ValueError("embed: the same model is listed twice")
        return self

    @model_validator(mode="after")
    def _shards_are_made(self) -> Self:
        """Refuse vectors in shards that nothing makes, and images larger than they are stored."""
        if self.shard.vectors != "none" and self.embed is None:
            raise ValueError("shard.vectors: of which model? name it in the section `embed`")
        wanted, stored = self.shard.image, self.image.min_side
        if wanted and stored and wanted.min_side >= stored:
            raise ValueError(
                f"shard.image.min_side: must be less than image.min_side, {stored}; "
                f"got {wanted.min_side}"
            )
        return self

    @model_validator(mode="after")
    def _vectors_are_made(self) -> Self:
        """Refuse vectors and captions that nothing makes, and tokens of no model."""
        if "embedding" in self.group.verify and self.embed is None:
            raise ValueError("group.verify: `embedding` needs the section `embed`")
        if self.alignment and self.embed is None:
            raise ValueError("alignment: of whose vectors? name the model in the section `embed`")
        written = self.captions.columns if self.captions else ()
        check_text(self.shard.text, written, self.embed is not None, self.group.captions)
        if self.text and self.text.tokens and self.embed is None:
            raise ValueError("text.tokens: whose? name the model in the section `embed`")
        return self

    @property
    def origin(self) -> Origin:
        """Return where the recipe comes from; it has no part in what the recipe says."""
        return self._origin

    def of_origin(self, origin: Origin) -> Self:
        """Return the same recipe, with where it comes from."""
        recipe = self.model_copy()
        recipe._origin = origin
        return recipe

    @property
    def models(self) -> tuple[Embed, ...]:
        """Return all models, the main one first."""
        return (self.embed, *self.other_models) if self.embed else ()

    @property
    def other_scores(self) -> tuple[Column, ...]:
        """Return the columns that the models but the main one measure."""
        return scores_of(model.name or "" for model in self.other_models)
