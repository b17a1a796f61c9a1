import { onScopeDispose, readonly, ref } from 'vue'

const now = ref(Date.now())
let users = 0
let timer: ReturnType<typeof setInterval> | undefined

/** useNow is the time in milliseconds, new each second while anything on the page shows it. */
export function useNow() {
  users++
  if (users === 1) {
    now.value = Date.now()
    timer = setInterval(() => (now.value = Date.now()), 1000)
  }
  onScopeDispose(() => {
    users--
    if (users === 0) clearInterval(timer)
  })
  return readonly(now)
}
