"""Talks to a model server or router with KServe's own Python clients, and ends with status 1 at the first answer that is wrong.

A program of its own: kserve and tritonclient both register the package `inference` with protobuf, which allows one of them.

usage: kserve_clients.py HOST:PORT MODEL
"""
import asyncio
import logging
import sys

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

address, model = sys.argv[1:3]
url = f"http://{address}"
ROWS = 3
# The clients log every refused call with its traceback; here refusals are asked for.
logging.getLogger("kserve.trace").setLevel(logging.CRITICAL)


def request(metadata, binary, rows=ROWS):
    """Rows for whatever inputs the model has. Only binary tensors can say NaN: JSON knows no such number."""
    inputs = []
    for name, datatype in metadata:
        last = b"" if binary else b"LGA"
        values = np.array([b"EWR", b"JFK", last], dtype=object) if datatype == "BYTES" else np.array([1.0, 2.0, np.nan if binary else 3.0])
        tensor = InferInput(name, [rows], datatype)
        tensor.set_data_from_numpy(values[:rows], binary_data=binary)
        inputs.append(tensor)
    return InferRequest(model, inputs, request_id="seven")


def check(what, condition):
    print("ok" if condition else "WRONG", what)
    if not condition:
        sys.exit(1)


def probabilities(answer):
    return answer.get_output_by_name("probability").as_numpy()


async def refusal(call):
    """What the client raises."""
    try:
        await call
    except (grpc.RpcError, httpx.HTTPStatusError) as error:
        return error
    check("a wrong call is refused", False)


async def over_grpc():
    """gRPC; gives the model's inputs and what it answers, for REST to be compared with."""
    async with InferenceGRPCClient(address) as client:
        check("grpc live and ready", await client.is_server_live() and await client.is_server_ready() and await client.is_model_ready(model))
        async with grpc.aio.insecure_channel(address) as channel:
            # The client has no call for metadata; its protocol has, in a variant with a field of its own.
            stub = GRPCInferenceServiceStub(channel)
            found = await stub.ModelMetadata(messages.ModelMetadataRequest(name=model))
            server = await stub.ServerMetadata(messages.ServerMetadataRequest())
        check("grpc metadata", found.name == model and len(found.versions) == 1 and server.name != "" and list(server.extensions) == ["binary_tensor_data"])
        check("grpc outputs", [(o.name, o.datatype) for o in found.outputs] == [("probability", "FP64"), ("label", "BYTES")])
        metadata = [(i.name, i.datatype) for i in found.inputs]
        answer = await client.infer(request(metadata, binary=True))
        expected = probabilities(answer)
        check("grpc probabilities", expected.shape == (ROWS,) and ((expected > 0) & (expected < 1)).all())
        check("grpc labels", {label.decode() for label in answer.get_output_by_name("label").as_numpy()} <= {"0", "1"})
        check("grpc id and version come back", answer.id == "seven" and answer.model_version == found.versions[0])
        error = await refusal(client.infer(request(metadata[1:], binary=True)))
        check(f"grpc names a missing input: {error.details()}", error.code() == grpc.StatusCode.INVALID_ARGUMENT and metadata[0][0] in error.details())
        error = await refusal(client.is_model_ready("nobody"))
        check("grpc says that there is no such model", error.code() == grpc.StatusCode.NOT_FOUND and "nobody" in error.details())
    return metadata, expected


async def over_rest(metadata, expected):
    """REST, with binary tensors and with JSON."""
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    check("rest live and ready", await client.is_server_live(url) is True and await client.is_server_ready(url) is True and await client.is_model_ready(url, model) is True)
    async with httpx.AsyncClient() as plain:
        found = (await plain.get(f"{url}/v2/models/{model}")).json()
        check("rest metadata equals grpc metadata", [(i["name"], i["datatype"]) for i in found["inputs"]] == metadata)
    answer = await client.infer(url, request(metadata, binary=True), model_name=model)
    check("rest with binary tensors, the client's default", np.array_equal(probabilities(answer), expected) and answer.id == "seven")
    answer = await client.infer(url, request(metadata, binary=False), model_name=model)
    got = probabilities(answer)
    # The first two rows are the same in both; the matrix product may round the last bit otherwise in another batch.
    check("rest with JSON", got.shape == (ROWS,) and np.allclose(got[:2], expected[:2], rtol=0, atol=1e-6))
    for binary in (True, False):
        error = await refusal(client.infer(url, request(metadata[1:], binary), model_name=model))
        check(f"rest names a missing input: {error}", error.response.status_code == 400 and metadata[0][0] in str(error))
    error = await refusal(client.infer(url, request(metadata, binary=True), model_name="nobody"))
    check("rest says that there is no such model", error.response.status_code == 404 and "nobody" in str(error))


async def main():
    await over_rest(*await over_grpc())


asyncio.run(main())
