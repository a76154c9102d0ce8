"""Asks a model server that has an evaluator, reports what came true, and compares the evaluator's metrics with its own.

usage: outcomes.py HOST:PORT MODEL EVALUATOR_HOST:PORT
"""
import json
import math
import random
import sys
import time
import urllib.request

import numpy as np
import tritonclient.grpc as grpc

address, model, evaluator = sys.argv[1:4]
CALLS, ROWS = 60, 50
random.seed(7)


def check(what, condition):
    print("ok" if condition else "WRONG", what)
    if not condition:
        sys.exit(1)


def ask(path, body=None):
    request = urllib.request.Request(f"http://{evaluator}{path}", json.dumps(body).encode() if body else None)
    return json.load(urllib.request.urlopen(request))


def row_values(datatype):
    if datatype == "BYTES":
        return np.array([random.choice([b"EWR", b"JFK", b"LGA", b"UA"]) for _ in range(ROWS)], dtype=object)
    return np.array([random.uniform(0, 24) for _ in range(ROWS)])


client = grpc.InferenceServerClient(address)
metadata = client.get_model_metadata(model, as_json=True)["inputs"]
predicted, counts = {}, {"stored": 0, "duplicate": 0, "contradictory": 0, "late": 0, "early": 0}
before = ask("/v1/quality")["counts"]
losses, wrong = [], 0
for number in range(CALLS):
    inputs = []
    for tensor in metadata:
        sent = grpc.InferInput(tensor["name"], [ROWS], tensor["datatype"])
        sent.set_data_from_numpy(row_values(tensor["datatype"]))
        inputs.append(sent)
    # Every third call has an id of its own; the others take the server's.
    answer = client.infer(model, inputs, request_id=f"order-{number}" if number % 3 == 0 else "")
    id, probabilities, labels = answer.get_response().id, answer.as_numpy("probability"), answer.as_numpy("label")
    check(f"call {number} has an id", id and (number % 3 or id == f"order-{number}")) if number < 2 else None
    outcomes = []
    for row, probability in enumerate(probabilities):
        truth = bool(random.random() < probability)
        if row % 10 != 9:
            outcomes.append({"id": f"{id}/{row}", "value": truth})
            losses.append(-math.log(probability if truth else 1.0 - probability))
            wrong += (labels[row] == b"1") != truth
    receipt = ask("/v1/outcomes", {"outcomes": outcomes + outcomes[:2]})
    counts = {name: counts[name] + receipt[name] for name in counts}
check("each outcome was taken once", counts["stored"] + counts["early"] == len(losses) and counts["duplicate"] == 2 * CALLS)

end = time.time() + 60
while time.time() < end:
    quality = ask("/v1/quality")
    arm = next((arm for arm in quality["arms"] if arm["quality"]["mature"] >= CALLS * ROWS), None)
    if arm:
        break
    time.sleep(0.2)
check("every prediction was counted when its window had closed", arm is not None)
found = arm["quality"]
check("nothing was late or unknown", quality["counts"]["outcomes"]["late"] == before["outcomes"]["late"] and quality["counts"]["unknown"] == before["unknown"])
share = len(losses) / (CALLS * ROWS)
check(f"label completeness is {share}", abs(found["labelCompleteness"] - share) < 1e-12)
check(f"log loss {found['logLoss']}", abs(found["logLoss"] - math.fsum(losses) / len(losses)) < 1e-9)
check(f"accuracy {found['accuracy']}", abs(found["accuracy"] - (1 - wrong / len(losses))) < 1e-12)
record = ask("/v1/records/order-0/0")
check("a record shows inputs, prediction and outcome", record["prediction"]["features"] and record["outcome"]["value"] in (0, 1))
