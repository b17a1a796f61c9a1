import type { Channel } from '@/api/types'

export const tools = ['curl', 'python', 'node', 'go'] as const
export type Tool = (typeof tools)[number]

export interface Target {
  channel: Channel
  /** What stands before the provider's own path. */
  proxyURL: string
  /** What the provider's own SDKs take as base URL. */
  sdkURL: string
  proxyKey: string
  model: string
}

/** shell quotes a text for a POSIX shell. */
export function shell(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** literal quotes a text for Python, JavaScript and Go alike: each reads what JSON writes, but for two line separators. */
function literal(text: string): string {
  return JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
}

const prompt = 'Say hello.'

function curl(target: Target): string {
  const model = target.model
  const chat = { model, messages: [{ role: 'user', content: prompt }] }
  const [path, header, body] = {
    openai: ['/v1/chat/completions', `Authorization: Bearer ${target.proxyKey}`, chat],
    'openai-response': ['/v1/responses', `Authorization: Bearer ${target.proxyKey}`, { model, input: prompt }],
    anthropic: ['/v1/messages', `x-api-key: ${target.proxyKey}`, { ...chat, max_tokens: 64 }],
    gemini: [`/v1beta/models/${encodeURIComponent(model)}:generateContent`, `x-goog-api-key: ${target.proxyKey}`, { contents: [{ parts: [{ text: prompt }] }] }],
  }[target.channel] as [string, string, object]
  const lines = [`curl ${shell(target.proxyURL + path)}`, `-H ${shell(header)}`, `-H 'Content-Type: application/json'`]
  if (target.channel === 'anthropic') lines.push(`-H 'anthropic-version: 2023-06-01'`)
  lines.push(`-d ${shell(JSON.stringify(body))}`)
  return lines.join(' \\\n  ')
}

function python(target: Target): string {
  const [url, key, model, text] = [target.sdkURL, target.proxyKey, target.model, prompt].map(literal)
  switch (target.channel) {
    case 'anthropic':
      return `import anthropic

client = anthropic.Anthropic(base_url=${url}, api_key=${key})
message = client.messages.create(
    model=${model}, max_tokens=64,
    messages=[{"role": "user", "content": ${text}}],
)
print(message.content)`
    case 'gemini':
      return `from google import genai
from google.genai import types

client = genai.Client(api_key=${key}, http_options=types.HttpOptions(base_url=${url}))
print(client.models.generate_content(model=${model}, contents=${text}).text)`
    case 'openai-response':
      return `from openai import OpenAI

client = OpenAI(base_url=${url}, api_key=${key})
print(client.responses.create(model=${model}, input=${text}).output_text)`
    default:
      return `from openai import OpenAI

client = OpenAI(base_url=${url}, api_key=${key})
completion = client.chat.completions.create(
    model=${model},
    messages=[{"role": "user", "content": ${text}}],
)
print(completion.choices[0].message.content)`
  }
}

function node(target: Target): string {
  const [url, key, model, text] = [target.sdkURL, target.proxyKey, target.model, prompt].map(literal)
  switch (target.channel) {
    case 'anthropic':
      return `import Anthropic from '@anthropic-ai/sdk'

const client = new Anthropic({ baseURL: ${url}, apiKey: ${key} })
const message = await client.messages.create({
  model: ${model}, max_tokens: 64,
  messages: [{ role: 'user', content: ${text} }],
})
console.log(message.content)`
    case 'gemini':
      return `import { GoogleGenAI } from '@google/genai'

const client = new GoogleGenAI({ apiKey: ${key}, httpOptions: { baseUrl: ${url} } })
const answer = await client.models.generateContent({ model: ${model}, contents: ${text} })
console.log(answer.text)`
    case 'openai-response':
      return `import OpenAI from 'openai'

const client = new OpenAI({ baseURL: ${url}, apiKey: ${key} })
const response = await client.responses.create({ model: ${model}, input: ${text} })
console.log(response.output_text)`
    default:
      return `import OpenAI from 'openai'

const client = new OpenAI({ baseURL: ${url}, apiKey: ${key} })
const completion = await client.chat.completions.create({
  model: ${model},
  messages: [{ role: 'user', content: ${text} }],
})
console.log(completion.choices[0].message.content)`
  }
}

function go(target: Target): string {
  const [url, key, model, text] = [target.sdkURL, target.proxyKey, target.model, prompt].map(literal)
  const program = (imports: string[], body: string) => `package main

import (
\t"context"
\t"fmt"
\t"log"

${imports.map((path) => `\t${path}`).join('\n')}
)

func main() {
${body
  .split('\n')
  .map((line) => (line ? `\t${line}` : line))
  .join('\n')}
}`
  switch (target.channel) {
    case 'anthropic':
      return program(
        ['"github.com/anthropics/anthropic-sdk-go"', '"github.com/anthropics/anthropic-sdk-go/option"'],
        `client := anthropic.NewClient(option.WithBaseURL(${url}), option.WithAPIKey(${key}))
message, err := client.Messages.New(context.Background(), anthropic.MessageNewParams{
\tModel:     ${model},
\tMaxTokens: 64,
\tMessages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(${text}))},
})
if err != nil {
\tlog.Fatal(err)
}
fmt.Println(message.Content)`,
      )
    case 'gemini':
      return program(
        ['"google.golang.org/genai"'],
        `ctx := context.Background()
client, err := genai.NewClient(ctx, &genai.ClientConfig{
\tAPIKey: ${key}, Backend: genai.BackendGeminiAPI,
\tHTTPOptions: genai.HTTPOptions{BaseURL: ${url}},
})
if err != nil {
\tlog.Fatal(err)
}
answer, err := client.Models.GenerateContent(ctx, ${model}, genai.Text(${text}), nil)
if err != nil {
\tlog.Fatal(err)
}
fmt.Println(answer.Text())`,
      )
    case 'openai-response':
      return program(
        ['"github.com/openai/openai-go/v3"', '"github.com/openai/openai-go/v3/option"', '"github.com/openai/openai-go/v3/responses"'],
        `client := openai.NewClient(option.WithBaseURL(${url}), option.WithAPIKey(${key}))
response, err := client.Responses.New(context.Background(), responses.ResponseNewParams{
\tModel: ${model},
\tInput: responses.ResponseNewParamsInputUnion{OfString: openai.String(${text})},
})
if err != nil {
\tlog.Fatal(err)
}
fmt.Println(response.OutputText())`,
      )
    default:
      return program(
        ['"github.com/openai/openai-go/v3"', '"github.com/openai/openai-go/v3/option"'],
        `client := openai.NewClient(option.WithBaseURL(${url}), option.WithAPIKey(${key}))
completion, err := client.Chat.Completions.New(context.Background(), openai.ChatCompletionNewParams{
\tModel:    ${model},
\tMessages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(${text})},
})
if err != nil {
\tlog.Fatal(err)
}
fmt.Println(completion.Choices[0].Message.Content)`,
      )
  }
}

const writers: Record<Tool, (target: Target) => string> = { curl, python, node, go }

/** snippet is a program that makes one request through a group, with a tool's own SDK for the group's channel. */
export function snippet(tool: Tool, target: Target): string {
  return writers[tool](target)
}

/** The model that a snippet asks for where the operator named none: the one that keys are tested with. */
export const usualModels: Record<Channel, string> = {
  openai: 'gpt-4.1-nano',
  'openai-response': 'gpt-4.1-nano',
  anthropic: 'claude-haiku-4-5',
  gemini: 'gemini-2.5-flash-lite',
}
