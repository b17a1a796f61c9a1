import type { Messages } from '..'

const overview: Messages['overview'] = {
  title: 'overview',
}

export default overview
