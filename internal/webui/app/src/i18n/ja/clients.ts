import type { Messages } from '..'
import { plural } from '../plural'

const clients: Messages['clients'] = {
  title: 'クライアントキー',
  help: 'クライアントがプロバイダーのキーの代わりに送るキーと、それぞれが開くグループです。',
  key: 'クライアントキー',
  opens: '開くもの',
  every: 'すべてのグループ',
  groups: (n: number) => plural('ja', n, { other: '# グループ' }),
  none: 'クライアントキーがありません',
  noneHelp: '設定 (proxy_keys) で全グループ用に、またはグループの構成でそのグループ用に追加します。',
  toSettings: '設定へ',
  requests: 'このキーのリクエスト',
  base: 'このシステムのベース URL',
  fromSetting: '設定 app_url による',
  fromRequest: 'このページのアドレスによる。クライアントが別のアドレスを使うなら app_url を設定してください',
  group: 'グループ',
  sdkURL: 'SDK のベース URL',
  endpoints: 'エンドポイント',
  use: (name: string) => `${name} を使う`,
  fingerprint: 'フィンガープリント',
  noGroups: 'どのグループも開きません。',
}

export default clients
