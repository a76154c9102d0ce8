"""Talks to a model server or router with the clients that people use, and ends with status 1 at the first answer that is wrong.

usage: clients.py HOST:PORT MODEL
"""
import json
import sys
import urllib.error
import urllib.request

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http

address, model = sys.argv[1:3]
ROWS = 3


def inputs(client, metadata, **options):
    """Three rows for whatever inputs the model has, all values missing in the last row."""
    result = []
    for tensor in metadata:
        name, datatype = tensor["name"], tensor["datatype"]
        values = np.array([b"EWR", b"JFK", b""], dtype=object) if datatype == "BYTES" else np.array([1.0, 2.0, np.nan])
        tensor = client.InferInput(name, [ROWS], datatype)
        tensor.set_data_from_numpy(values, **options)
        result.append(tensor)
    return result


def check(what, condition):
    print("ok" if condition else "WRONG", what)
    if not condition:
        sys.exit(1)


g = grpc.InferenceServerClient(address)
check("grpc live and ready", g.is_server_live() and g.is_server_ready() and g.is_model_ready(model))
metadata = g.get_model_metadata(model, as_json=True)["inputs"]
answer = g.infer(model, inputs(grpc, metadata), request_id="seven")
expected = answer.as_numpy("probability")
check("grpc probabilities", expected.shape == (ROWS,) and ((expected > 0) & (expected < 1)).all())
check("grpc labels", set(answer.as_numpy("label")) <= {b"0", b"1"})
check("grpc id comes back", answer.get_response().id == "seven")

h = http.InferenceServerClient(address)
check("http live and ready", h.is_server_live() and h.is_server_ready() and h.is_model_ready(model))
check("http metadata equals grpc metadata", [i["name"] for i in h.get_model_metadata(model)["inputs"]] == [i["name"] for i in metadata])
binary = h.infer(model, inputs(http, metadata, binary_data=True))
check("http with binary tensors, the client's default", np.array_equal(binary.as_numpy("probability"), expected))
finite = [i for i in metadata]
for compression in ("gzip", "deflate"):
    packed = g.infer(model, inputs(grpc, metadata), compression_algorithm=compression)
    check(f"grpc with {compression}", np.array_equal(packed.as_numpy("probability"), expected))
wanted = h.infer(model, inputs(http, metadata, binary_data=True), outputs=[http.InferRequestedOutput("label", binary_data=False)])
check("http with one output as JSON", wanted.as_numpy("probability") is None and len(wanted.as_numpy("label")) == ROWS)

for client, errors in ((grpc, g), (http, h)):
    try:
        errors.infer(model, inputs(client, metadata[1:]))
        check("a missing input is an error", False)
    except Exception as error:  # both clients raise InferenceServerException
        check(f"a missing input is named: {error}", metadata[0]["name"] in str(error))

body = {"inputs": [{"name": i["name"], "datatype": i["datatype"], "shape": [1], "data": ["EWR" if i["datatype"] == "BYTES" else 1.0]} for i in metadata]}
request = urllib.request.Request(f"http://{address}/v2/models/{model}/infer", json.dumps(body).encode())
answer = json.load(urllib.request.urlopen(request))
check("plain JSON answers the same", abs(answer["outputs"][0]["data"][0] - expected[0]) < 1e-6)
try:
    urllib.request.urlopen(f"http://{address}/v2/models/nobody")
    check("an unknown model is 404", False)
except urllib.error.HTTPError as error:
    check("an unknown model is 404", error.code == 404 and "nobody" in json.load(error)["error"])
