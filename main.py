"""The project: which apps it has. Run it with `./script/server`, or `uvicorn main:app`."""

from fastopp import FastOpp

app = FastOpp(
    title="FastOpp",
    description="Build AI web applications in Python.",
    apps=[
        "demo.pages",
        "demo.users",
        "demo.products",
        "demo.webinars",
        "demo.design",
        "demo.chat",
    ],
)
