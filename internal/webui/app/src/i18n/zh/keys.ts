import type { Messages } from '..'

const keys: Messages['keys'] = {
  title: 'keys',
}

export default keys
