import { plural } from '../plural'

export default {
  title: 'Client keys',
  help: 'What clients send in place of a provider key, and what each one opens.',
  key: 'Client key',
  opens: 'Opens',
  every: 'every group',
  groups: (n: number) => plural('en', n, { one: '# group', other: '# groups' }),
  none: 'There is no client key',
  noneHelp: 'Add one in the settings (proxy_keys) for every group, or in the configuration of one group.',
  toSettings: 'To the settings',
  requests: 'Its requests',
  base: 'Base URL of this installation',
  fromSetting: 'by the setting app_url',
  fromRequest: 'by the address of this page; set app_url if clients use another one',
  group: 'Group',
  sdkURL: 'Base URL for SDKs',
  endpoints: 'Endpoints',
  use: (name: string) => `Use ${name}`,
  fingerprint: 'Fingerprint',
  noGroups: 'It opens no group.',
}
