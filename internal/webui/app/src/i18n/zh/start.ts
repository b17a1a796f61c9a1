import type { Messages } from '..'

const start: Messages['start'] = {
  title: 'start',
}

export default start
