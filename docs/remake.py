#!/usr/bin/env python3
"""Remakes the table in README.md and the picture in docs/: `docs/remake.py`, on a machine with nothing else to do.

It builds a release, compares chat-server with NATS, Redis and a relay that does next to nothing (some five minutes),
and writes between the marks in README.md. A server that is not installed is skipped and named. The picture is the top
of the report, by Chromium if that is installed. `docs/remake.py FILE` takes a kept comparison instead.

`docs/remake.py gallery` shows the gallery in README.md, as `stresstest gallery --markdown bins/impls/README.md` has
left it: its table and the top of its page.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STRESSTEST = "./target/release/stresstest"
KEPT = "target/comparison.json"
REPORT = "target/comparison.html"
PICTURE = "docs/report.png"
GALLERY = "bins/impls"
GALLERY_PAGE = "target/gallery.html"
GALLERY_PICTURE = "docs/gallery.png"
GALLERY_MARKS = [f"<!-- The table of `stresstest gallery --markdown` {verb}. -->" for verb in ("begins", "ends")]
BEGIN, END = "<!-- docs/remake.py writes from here … -->", "<!-- … to here -->"
CHROMIUMS = ["chromium", "chromium-browser", "google-chrome"]
# Name, what it is started by, and the executable that has to be there.
SERVERS = [
    ("chat-server", "./target/release/chat-server", None),
    ("NATS", "nats:", "nats-server"),
    ("Redis", "redis:", "redis-server"),
    ("relay", f"{STRESSTEST} null-broadcaster", None),
]
TITLES = {
    "deliveries_per_s": "deliveries per second",
    "p50_us": "median latency",
    "p99_us": "99th percentile of latency",
    "join_p50_us": "median time to join",
    "cpu_us_per_delivery": "processor time per delivery",
    "memory_per_client_kib": "memory per client",
}


def main():
    if sys.argv[1:] == ["gallery"]:
        return show_gallery()
    kept = sys.argv[1] if len(sys.argv) > 1 else None
    missing = [] if kept else [it for it in SERVERS if it[2] and not shutil.which(it[2])]
    for _, _, executable in missing:
        print(f"skipped: {executable} is not installed")
    run("cargo", "build", "--release", "--locked")
    if not kept:
        servers = [f"{name}={start}" for name, start, _ in SERVERS if (name, start, _) not in missing]
        # 3: a server broke the order, which the table shows.
        run(STRESSTEST, "compare", "--preset", "quick", "--json", KEPT, *servers, codes=(0, 3))
    run(STRESSTEST, "report", kept or KEPT, "--html", REPORT)
    comparison = json.loads((ROOT / (kept or KEPT)).read_text())
    has_picture = draw(REPORT, PICTURE)
    lines = [BEGIN, ""]
    if has_picture or (ROOT / PICTURE).exists():
        lines += [f"![The top of a report: what each server did under the first loads]({PICTURE})", ""]
    lines += table(comparison, [executable for _, _, executable in missing]) + ["", END]
    replace(ROOT / "README.md", (BEGIN, END), "\n".join(lines))


def show_gallery():
    run(STRESSTEST, "report", f"{GALLERY}/target/gallery.json", "--html", GALLERY_PAGE)
    draw(GALLERY_PAGE, GALLERY_PICTURE)
    begin, end = GALLERY_MARKS
    table = (ROOT / GALLERY / "README.md").read_text().split(begin, 1)[1].split(end, 1)[0]
    # The shelf of wrong designs stays where it is explained.
    replace(ROOT / "README.md", GALLERY_MARKS, begin + table.split("| wrong design |", 1)[0].rstrip() + "\n\n" + end)


def run(*command, codes=(0,)):
    code = subprocess.run(command, cwd=ROOT).returncode
    if code not in codes:
        sys.exit(f"error: {' '.join(command)}: exit code {code}")


def draw(page, picture):
    """Draws the top of a page, and returns whether it could."""
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if not chromium:
        print("the picture stays as it is: Chromium is not installed")
        return False
    run(chromium, "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1060,1070",
        f"--screenshot={ROOT / picture}", (ROOT / page).as_uri())
    return True


def table(comparison, missing):
    """Returns a row for each load, with the first figure that is decided there, and a column for each server."""
    names = [server["name"] for server in comparison["servers"]]
    rows = [["load"] + names, ["---"] * (1 + len(names))]
    for workload in comparison["workloads"]:
        figure = workload["decided"][0]
        cells = [cell(outcome, figure) for outcome in workload["outcomes"]]
        rows.append([f"{workload['name']}: {TITLES[figure]}"] + cells)
    environment = comparison["environment"]
    busy = [it["name"] for it in comparison["workloads"] if any("busy" in concern for concern in it["concerns"])]
    notes = [
        f"Multiples are of {names[0]}, with an interval; all of them hold together at {100 * comparison['confidence']:g} %, "
        "and ≈ is not distinguishable. Struck out: the server broke the one order that the chat promises. NATS "
        "promises the order of each publisher alone.",
        f"{environment['processor_count']} × {environment['processor']}, {environment['kernel']}, {environment['date'][:10]}, "
        f"stresstest {environment['version']}, {comparison['rounds']} rounds.",
    ]
    notes += [f"Not measured, since they are not installed: {', '.join(missing)}."] if missing else []
    where = "all loads" if len(busy) == len(comparison["workloads"]) else ", ".join(busy)
    notes += [f"The machine seemed busy with other things in {where}, so take no figure as it stands."] if busy else []
    notes += ["`docs/remake.py` remakes the table and the picture."]
    return ["| " + " | ".join(row) + " |" for row in rows] + [""] + [" ".join(notes)]


def cell(outcome, figure):
    standing = outcome["standing"]["is"]
    if figure not in outcome["medians"]:
        return standing if standing in ("stopped", "not-run") else "too small"
    value = shown(figure, outcome["medians"][figure]["value"])
    if standing == "wrong":
        return f"~~{value}~~ wrong"
    if figure not in outcome["ratios"]:
        return value
    ratio = outcome["ratios"][figure]
    interval = ratio["interval"]
    if not interval or interval["low"] <= 1 <= interval["high"]:
        return f"{value} ≈"
    return f"{value}, {ratio['value']:.2f}× ({interval['low']:.2f} to {interval['high']:.2f})"


def shown(figure, value):
    if figure.endswith("_per_s"):
        value, unit = (value / 1e6, "M/s") if value >= 1e6 else (value / 1e3, "K/s")
    elif figure.endswith("_kib"):
        unit = "KiB"
    elif value < 1:
        value, unit = 1e3 * value, "ns"
    else:
        value, unit = (value / 1e3, "ms") if value >= 1e3 else (value, "µs")
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


def replace(path, marks, text):
    begin, end = marks
    old = path.read_text()
    if begin not in old or end not in old:
        sys.exit(f"error: {path} has not both marks: {begin} and {end}")
    before, rest = old.split(begin, 1)
    path.write_text(before + text + rest.split(end, 1)[1])
    print(f"written: {path}")


main()
