"""How a message reaches people: through the stack's topic."""

from __future__ import annotations

from utils import environment
from utils.aws import client
from utils.messages.message import Message


def send(message: Message) -> str:
    """Publish a message on the stack's topic. Return the id that SNS gives it."""
    answer = client("sns").publish(
        TopicArn=environment.text("TOPIC_ARN"), Subject=message.subject, Message=message.body
    )
    return answer["MessageId"]
