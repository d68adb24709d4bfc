"""The package espnet_otreg: what it needs, in the version ranges that its tests ran with."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "espnet_otreg/__init__.py").read_text())

# The losses (espnet_otreg.ot, espnet_otreg.regularizers) and their configuration.
# torch follows espnet, which leaves out torch 2.12; without numpy torch warns at its import.
REQUIREMENTS = ["torch>=2.11,!=2.12.*,<2.15", "numpy>=2.0,<3", "PyYAML>=6,<7"]
# The spoken language model and its recipes. sentencepiece follows espnet, which pins it.
ESPNET = [
    "espnet[train]>=202611,<202612",
    "transformers>=5,<6",
    "tokenizers>=0.22,<1",
    "safetensors>=0.6,<1",
    "huggingface_hub>=1,<3",
    "peft>=0.21,<1",
    "sentencepiece>=0.2.1,<0.3",
    "scipy>=1.14,<2",
    "kaldiio>=2.18,<3",
    "soundfile>=0.13,<1",
    "av>=19,<20",
    "soxr>=1,<2",
    "jiwer>=4,<5",
    "num2words>=0.5.14,<0.6",
    "langcodes>=3.5,<4",
    "language-data>=1.4,<2",
    "whisper-normalizer>=0.1.15,<0.2",
    "gguf>=0.19,<1",
    # KenLM itself has no wheels and would need a compiler; these are made of its source.
    "ufal-kenlm>=26.4.1,<27",
    "omegaconf>=2.3,<3",
    "humanfriendly>=10,<11",
    "tqdm>=4.64,<5",
    "typeguard>=4,<5",
    "setuptools>=77.0.3,<82",
]
REPORT = ["matplotlib>=3.10,<4"]
# These read the Italian out-of-domain sets.
SPEECH_SYNTHESIS = ["py-nanotts>=0.1.1,<0.2", "espeakng-loader>=0.2.4,<0.3"]
# torch brings it where it is built for CUDA; without it transport runs in plain torch.
TRITON = ["triton>=3.6,<4"]
EXTRAS = {
    "espnet": ESPNET,
    "report": REPORT,
    "demo": REPORT + SPEECH_SYNTHESIS,
    "cuda": TRITON,
    "test": [
        *TRITON,
        *REPORT,
        *SPEECH_SYNTHESIS,
        "pytest>=9,<10",
        "pytest-timeout>=2.4,<3",
        "pytest-xdist>=3.8,<4",
        "hypothesis>=6.150,<7",
        "packaging>=24,<27",
        "RapidFuzz>=3,<4",
        "POT>=0.9.6,<0.10",
        "geomloss>=0.3.1,<0.4",
        "kaldialign>=0.12,<0.13",
        "ruff>=0.17,<0.18",
        "mypy>=2.4,<3",
    ],
}

setup(
    name="espnet_otreg",
    version=VERSION[1],
    description="Optimal transport across the life of a spoken language model, for ESPnet2",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.12,<3.14",
    packages=find_packages(include=["espnet_otreg", "espnet_otreg.*"]),
    package_data={"espnet_otreg": ["py.typed"]},
    install_requires=REQUIREMENTS,
    extras_require=EXTRAS,
    # Other packages register theirs in the entry-point groups espnet_otreg.regularizers,
    # espnet_otreg.decoding_modes, espnet_otreg.objectives and espnet_otreg.corpora.
    classifiers=[
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ],
)
