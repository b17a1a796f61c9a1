import { readonly, ref } from 'vue'
import { api, ask, whenSignedOut } from '@/api/client'
import { ApiError } from '@/api/errors'
import { queries } from '@/api/query'

/**
 * unknown until the first answer; in; out: nobody has signed in; over: the session ended while the console was in use, so that what is
 * on the screen stays, forms included, until somebody signs in again.
 */
export type SessionState = 'unknown' | 'in' | 'out' | 'over'

const state = ref<SessionState>('unknown')
const version = ref('')

export const session = { state: readonly(state), version: readonly(version) }

whenSignedOut(() => {
  state.value = state.value === 'in' || state.value === 'over' ? 'over' : 'out'
})

/** resume asks whether the browser still has a session. It throws an ApiError if the server cannot say. */
export async function resume(): Promise<void> {
  try {
    version.value = (await ask(api.GET('/session'))).version
    state.value = 'in'
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error
  }
}

/** signIn begins a session with the server's AUTH_KEY. It throws an ApiError. */
export async function signIn(authKey: string): Promise<void> {
  version.value = (await ask(api.POST('/session', { body: { auth_key: authKey } }))).version
  const again = state.value === 'over'
  state.value = 'in'
  if (again) await queries.invalidateQueries()
}

/** signOut ends this session. Nothing of it stays in memory. */
export async function signOut(): Promise<void> {
  try {
    await ask(api.DELETE('/session'))
  } finally {
    state.value = 'out'
    queries.clear()
  }
}
