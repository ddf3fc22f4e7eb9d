"""One trainer: the global model in, some steps on its own part, the model out."""

from __future__ import annotations

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from round_app.task import build_model, load_task, train

app = ClientApp()


@app.train()
def train_part(message: Message, context: Context) -> Message:
    task = load_task()
    model = build_model(task)
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    samples = train(model, task, int(context.node_config["partition-id"]))
    arrays, metrics = ArrayRecord(model.state_dict()), MetricRecord({"num-examples": samples})
    return Message(content=RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)
