import type { Messages } from '..'

const requests: Messages['requests'] = {
  title: 'requests',
}

export default requests
