"""Our MLP against scikit-learn's MLPClassifier((64, 32)), on the same rows and columns of the flights sample.

usage: taskset -c 0 compare.py TRAINER SAMPLE.yaml DATA_FOLDER
Prints the AUC on July and August for three seeds of each, the medians, the seconds, and whether two runs give the same model.
"""
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

trainer, sample, data = sys.argv[1:4]
SEEDS = (1, 2, 3)
CATEGORIES = ["carrier", "origin", "dest", "weekday"]
NUMBERS = ["hour", "distance", "temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib", "plane_year", "seats"]

flights, weather, planes = (pd.read_csv(f"{data}/{name}.csv") for name in ("flights", "weather", "planes"))
weather = weather.drop_duplicates(["origin", "time_hour"])[["origin", "time_hour", *NUMBERS[2:10]]]
rows = flights[flights.arr_delay.notna()].merge(weather, how="left", on=["origin", "time_hour"])
rows = rows.merge(planes[["tailnum", "year", "seats"]].rename(columns={"year": "plane_year"}), how="left", on="tailnum")
rows["weekday"] = pd.to_datetime(rows[["year", "month", "day"]]).dt.day_name()
rows["late"] = (rows.arr_delay > 15).astype(int)
# The last 14 days before July are for validation on both sides: neither fits on them.
train = rows[rows.time_hour < "2013-06-17"]
test = rows[(rows.time_hour >= "2013-07-01") & (rows.time_hour < "2013-09-01")]


def theirs(seed):
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", min_frequency=20), CATEGORIES),
        (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), NUMBERS),
    )
    model = make_pipeline(columns, MLPClassifier((64, 32), early_stopping=True, random_state=seed))
    model.fit(train, train.late)
    return roc_auc_score(test.late, model.predict_proba(test)[:, 1])


def ours(seed):
    manifest = re.sub(r"seed: \d+", f"seed: {seed}", open(sample).read())
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/job.yaml"
        open(path, "w").write(manifest)
        sources = [argument for name in ("flights", "weather", "planes") for argument in ("--data", f"{name}={data}/{name}.csv")]
        run = subprocess.run([trainer, "run", "-f", path, "--output", f"{folder}/out", *sources], check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


def timed(function, *arguments):
    start = time.monotonic()
    return function(*arguments), time.monotonic() - start


results = [timed(ours, seed) for seed in SEEDS]
for seed, (result, seconds) in zip(SEEDS, results):
    rows_seen = result["rows"]
    print(f"plimsoll     seed {seed}: auc {result['metrics']['auc']:.4f} in {seconds:.1f} s ({rows_seen})", flush=True)
assert results[0][0]["rows"]["train"] == len(train) and results[0][0]["rows"]["test"] == len(test), (len(train), len(test))
peers = [timed(theirs, seed) for seed in SEEDS]
for seed, (auc, seconds) in zip(SEEDS, peers):
    print(f"scikit-learn seed {seed}: auc {auc:.4f} in {seconds:.1f} s", flush=True)
our_median = statistics.median(result["metrics"]["auc"] for result, _ in results)
their_median = statistics.median(auc for auc, _ in peers)
print(f"medians: plimsoll {our_median:.4f}, scikit-learn {their_median:.4f}, difference {our_median - their_median:+.4f}")
same = ours(SEEDS[0])["contentDigest"] == results[0][0]["contentDigest"]
print(f"the same run again gives the same contentDigest: {same}")
sys.exit(0 if our_median >= their_median - 0.005 and same else 1)
