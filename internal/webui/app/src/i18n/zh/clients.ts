import type { Messages } from '..'
import { plural } from '../plural'

const clients: Messages['clients'] = {
  title: '客户端密钥',
  help: '客户端用来代替提供商密钥的密钥，以及各自可访问的分组。',
  key: '客户端密钥',
  opens: '可访问',
  every: '所有分组',
  groups: (n: number) => plural('zh-CN', n, { other: '# 个分组' }),
  none: '没有客户端密钥',
  noneHelp: '在设置（proxy_keys）中添加对所有分组有效的密钥，或在某个分组的配置中添加。',
  toSettings: '前往设置',
  requests: '相关请求',
  base: '本系统的基础地址',
  fromSetting: '来自设置 app_url',
  fromRequest: '来自本页地址；如客户端使用其他地址，请设置 app_url',
  group: '分组',
  sdkURL: 'SDK 的基础地址',
  endpoints: '接口',
  use: (name: string) => `使用 ${name}`,
  fingerprint: '指纹',
  noGroups: '该密钥不能访问任何分组。',
}

export default clients
