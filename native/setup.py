from setuptools import Extension, setup

setup(
    packages=[],
    ext_modules=[
        Extension(
            "edgewright_native",
            sources=[
                "src/module.c",
                "src/connection.c",
                "src/gathering.c",
                "src/batch.c",
                "src/numbers.c",
            ],
            depends=["src/native.h"],
            # Fused or excess precision would round numbers otherwise than Python does.
            extra_compile_args=["-O2", "-std=c11", "-Wall", "-Wextra", "-ffp-contract=off"],
        )
    ],
)
