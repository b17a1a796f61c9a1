/** One line of the result of an import; the file is not part of the document that the other types come from. */
export interface Outcome {
  line: number
  entry: number
  outcome: 'added' | 'duplicate' | 'rejected'
  reason?: string
}

/** How much of a result is looked through for what was rejected. Characters. */
const mostRead = 20_000_000

/** firstRejects reads JSON lines as they come, until it has found as many rejected entries as are wanted. */
export async function firstRejects(chunks: AsyncIterable<string> | Iterable<string>, most: number): Promise<Outcome[]> {
  const found: Outcome[] = []
  let rest = ''
  let read = 0
  for await (const chunk of chunks) {
    read += chunk.length
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      take(line, found)
      if (found.length === most) return found
    }
    if (read > mostRead) return found
  }
  take(rest, found)
  return found
}

function take(line: string, found: Outcome[]) {
  // Nearly all lines are of keys that were added; those are not worth being parsed.
  if (!line.includes('"rejected"')) return
  try {
    const outcome = JSON.parse(line) as Outcome
    if (outcome.outcome === 'rejected') found.push(outcome)
  } catch {
    // A line that broke off.
  }
}

/** textOf is the body of an answer, piece by piece. */
export async function* textOf(answer: Response): AsyncGenerator<string> {
  if (!answer.ok || !answer.body) return
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    await reader.cancel()
  }
}
