"""Packaging. The pinned environments live in requirements/: cpu.txt and gpu.txt."""

from pathlib import Path

from setuptools import Extension, find_packages, setup

HERE = Path(__file__).parent


def pins(name: str) -> list[str]:
    lines = (HERE / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))]


setup(
    name="kg-r1",
    version="2.0.0",
    description="Reinforcement learning of language models that search a knowledge graph, on stock verl",
    python_requires=">=3.11,<3.13",
    packages=find_packages(include=["kg_r1*", "verl_ext*", "kblampp*"]),
    package_data={
        "kg_r1.eval": ["page/*"],
        "kg_r1.kg.compiled": ["*.pyi"],
        "kblampp.align": ["frames/*.txt"],
        "kblampp.eval": ["page/*"],
        "kblampp.infer": ["page/*"],
        "verl_ext": ["config/*.yaml"],
    },
    # Without a C compiler the same is done in Python, slower.
    ext_modules=[Extension("kg_r1.kg.compiled._lookup", ["kg_r1/kg/compiled/_lookup.c"], optional=True)],
    install_requires=pins("base"),
    extras_require={"cpu": pins("cpu"), "gpu": pins("gpu"), "dev": pins("dev")},
    entry_points={
        "console_scripts": ["kg-r1 = kg_r1.cli:main", "kblampp-align = kblampp.align.cli:main"],
        "verl.plugins": ["verl_ext_cpu = verl_ext.platform_cpu"],
        "vllm.general_plugins": ["verl_ext_keep_weights = verl_ext.vllm_cpu:register"],
    },
)
