import type { Messages } from '..'

const operations: Messages['operations'] = {
  title: 'operations',
}

export default operations
