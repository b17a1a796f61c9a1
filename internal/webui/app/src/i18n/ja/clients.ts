import type { Messages } from '..'

const clients: Messages['clients'] = {
  title: 'clients',
}

export default clients
