import { onScopeDispose, type Ref } from 'vue'
import { onBeforeRouteLeave, onBeforeRouteUpdate } from 'vue-router'
import { m } from '@/i18n'

/** useLeaveGuard asks before a page with changes that are not saved is left, by a link or by closing the window. */
export function useLeaveGuard(dirty: Ref<boolean>): void {
  const ask = () => !dirty.value || window.confirm(m.value.words.leaveUnsaved)
  onBeforeRouteLeave(ask)
  onBeforeRouteUpdate((to, from) => to.path === from.path || ask())
  const onUnload = (event: BeforeUnloadEvent) => {
    if (dirty.value) event.preventDefault()
  }
  window.addEventListener('beforeunload', onUnload)
  onScopeDispose(() => window.removeEventListener('beforeunload', onUnload))
}
