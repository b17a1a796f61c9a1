import type { Messages } from '..'

const audit: Messages['audit'] = {
  title: 'audit',
}

export default audit
