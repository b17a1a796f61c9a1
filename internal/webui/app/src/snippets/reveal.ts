import { api, ask } from '@/api/client'

/** revealProxyKey asks for a client key in clear. It throws an ApiError. */
export async function revealProxyKey(fingerprint: string): Promise<string> {
  const page = await ask(api.GET('/proxy-keys', { params: { query: { fingerprint, reveal: true } } }))
  return page.proxy_keys?.[0]?.value ?? ''
}
