#!/usr/bin/env python3
"""espnet_fsqdiff: FSQ speech tokens and categorical diffusion for ESPnet."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

# torch, torchaudio and ESPnet are not among them: on Python 3.11 pip would then
# replace the torch that is there by an older build, or fail. `make env` and
# tools/setup_env.sh install them side by side; so does the extra `espnet`, with
# plain pip, on Python >= 3.12.
INSTALL_REQUIRES = [
    "kaldiio>=2.18.0",
    "num2words>=0.5.13",
    "numpy<2.4",  # ESPnet's chunk iterators break on 2.4
    "pyyaml>=5.1.2",
    "scipy>=1.10",
    "sentencepiece>=0.2.0",
    "soundfile>=0.12",
    "tqdm>=4.60",
]

EXTRAS_REQUIRE = {
    # What ESPnet's trainer imports, whether ESPnet declares it or not.
    "train": ["matplotlib", "six", "tensorboard", "torchaudio"],
    "score": [
        "jiwer>=3.0",
        "matplotlib",
        "pocketsphinx>=5.0",
        "pystoi>=0.4.1",
        "pyworld>=0.3.4",
        "setuptools<82",  # pyworld imports pkg_resources
    ],
    # Apart from `score`: there are no wheels, it takes a C compiler to install.
    "pesq": ["pesq>=0.0.4"],
    "phonemes": ["phonemizer>=3.2"],
    # The local page, fsqdiff-tts --serve.
    "serve": ["matplotlib", "starlette>=0.40", "uvicorn>=0.30"],
    "onnx": ["onnx>=1.16", "onnxruntime>=1.18"],
    # Apart from `train`: it is built on the spot, with --no-build-isolation.
    "deepspeed": ["deepspeed>=0.19"],
    "benchmarks": ["transformers>=4.48"],  # the language model compared with
    # The style checkers are pinned: another release may want another layout.
    "test": [
        "black==26.10.1",
        "flake8==7.5.0",
        "hypothesis>=6.100",
        "isort==9.0.2",
        "pytest>=8.0",
        "pytest-xdist>=3.7",
        "selenium>=4.20",  # the local page in a browser, where there is one
    ],
}
EXTRAS_REQUIRE["espnet"] = [
    'espnet==202511; python_version < "3.12"',
    'espnet>=202611; python_version >= "3.12"',
    *EXTRAS_REQUIRE["train"],
]
EXTRAS_REQUIRE["all"] = sorted(set(sum(EXTRAS_REQUIRE.values(), [])))


def read_version() -> str:
    """Return `__version__` of the package without importing it."""
    text = (ROOT / "espnet_fsqdiff" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)[1]


setup(
    name="espnet_fsqdiff",
    version=read_version(),
    description="FSQ speech tokens and categorical diffusion for ESPnet TTS",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["espnet_fsqdiff", "espnet_fsqdiff.*"]),
    include_package_data=True,
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    entry_points={
        "console_scripts": [
            "fsqdiff-tokenizer-train = espnet_fsqdiff.bin.fsq_tokenizer_train:entry",
            "fsqdiff-cdcd-train = espnet_fsqdiff.bin.cdcd_train:entry",
            "fsqdiff-token-lm-train = espnet_fsqdiff.bin.token_lm_train:entry",
            "fsqdiff-token2mel-train = espnet_fsqdiff.bin.token2mel_train:entry",
            "fsqdiff-vocoder-train = espnet_fsqdiff.bin.vocoder_train:entry",
            "fsqdiff-tts = espnet_fsqdiff.bin.tts:entry",
            "fsqdiff-inference = espnet_fsqdiff.bin.tts_inference:entry",
        ]
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ],
)
