/** A part of a text: words, or what is to be typed. */
export interface Part {
  text: string
  code: boolean
}

/** parts splits a text at its backticks. */
export function parts(text: string): Part[] {
  return text
    .split('`')
    .map((part, i) => ({ text: part, code: i % 2 === 1 }))
    .filter((part) => part.text !== '')
}
