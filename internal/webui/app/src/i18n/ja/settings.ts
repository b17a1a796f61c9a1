import type { Messages } from '..'

const settings: Messages['settings'] = {
  title: 'settings',
}

export default settings
