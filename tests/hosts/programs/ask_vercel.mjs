// A program on Vercel's AI SDK: `ask_vercel.mjs WAY PROMPT...` has one conversation and prints the answers.
import { openai } from "@ai-sdk/openai";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [way, ...prompts] = process.argv.slice(2);
const tools = {
  get_weather: tool({
    description: "The weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `sunny in ${city}`,
  }),
};
const model = way === "chat" ? openai.chat("gpt-5.5") : openai("gpt-5.5");
const call = { model, tools, stopWhen: stepCountIs(4) };
if (way === "nostore") call.providerOptions = { openai: { store: false } };

const messages = [];
for (const prompt of prompts) {
  messages.push({ role: "user", content: prompt });
  if (way === "stream") {
    const result = streamText({ ...call, messages });
    for await (const text of result.textStream) process.stdout.write(text);
    console.log();
    messages.push(...(await result.response).messages);
  } else {
    const result = await generateText({ ...call, messages });
    console.log(result.text);
    messages.push(...result.response.messages);
  }
}
