import type { Messages } from '..'

const fleet: Messages['fleet'] = {
  title: 'fleet',
}

export default fleet
