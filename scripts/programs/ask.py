"""An ordinary program on the OpenAI Python SDK. It knows nothing of Understudy."""

import sys

from openai import OpenAI

client = OpenAI()
question = sys.argv[1] if len(sys.argv) > 1 else "What does an understudy do?"
with client.responses.create(model="gpt-5.5", input=question, stream=True) as events:
    for event in events:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
print()
