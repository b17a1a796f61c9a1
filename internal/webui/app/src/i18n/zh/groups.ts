import type { Messages } from '..'

const groups: Messages['groups'] = {
  title: 'groups',
}

export default groups
