// A program on the OpenAI Node SDK: `ask_openai.mjs WAY PROMPT...` has one conversation and prints the answers.
import OpenAI from "openai";

const model = "gpt-5.5";
const [way, ...prompts] = process.argv.slice(2);
const client = new OpenAI();
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const definition = { name: "get_weather", description: "The weather in a city.", parameters, strict: true };
const getWeather = ({ city }) => `sunny in ${city}`;

const ways = {
  async create(input, tools) {
    const response = await client.responses.create({ model, input, tools });
    console.log(response.output_text);
    return response.output;
  },
  async stream(input, tools) {
    for await (const event of await client.responses.create({ model, input, tools, stream: true })) {
      if (event.type === "response.output_text.delta") process.stdout.write(event.delta);
      if (event.type === "response.failed") throw new Error(event.response.error.message);
      if (event.type === "response.completed") {
        console.log();
        return event.response.output;
      }
    }
    throw new Error("The answer has no end.");
  },
};

const respond = async (items) => {
  for (;;) {
    const output = await ways[way](items, [{ type: "function", ...definition }]);
    items.push(...output);
    const calls = output.filter((item) => item.type === "function_call");
    if (!calls.length) return;
    for (const { call_id, arguments: given } of calls) {
      items.push({ type: "function_call_output", call_id, output: getWeather(JSON.parse(given)) });
    }
  }
};

const chat = async (messages) => {
  for (;;) {
    const tools = [{ type: "function", function: definition }];
    const { choices } = await client.chat.completions.create({ model, messages, tools });
    const { message } = choices[0];
    messages.push(message);
    if (!message.tool_calls?.length) return console.log(message.content);
    for (const call of message.tool_calls) {
      const content = getWeather(JSON.parse(call.function.arguments));
      messages.push({ role: "tool", tool_call_id: call.id, content });
    }
  }
};

const conversation = [];
for (const content of prompts) {
  conversation.push({ role: "user", content });
  await (way === "chat" ? chat : respond)(conversation);
}
