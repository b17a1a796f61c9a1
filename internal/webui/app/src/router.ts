import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'
import { root } from '@/base'
import type { IconName } from '@/components/icons'
import type { Messages } from '@/i18n'

declare module 'vue-router' {
  interface RouteMeta {
    /** The entry of the side bar that it belongs to, which is also its title. */
    nav?: Exclude<keyof Messages['nav'], 'label' | 'collapse' | 'expand' | 'open' | 'skip'>
    /** The top bar offers a time range. */
    range?: boolean
  }
}

/** The side bar, in its order: route, icon, and the letter that follows g. */
export const places = [
  { name: 'overview', icon: 'overview', letter: 'o' },
  { name: 'groups', icon: 'groups', letter: 'g' },
  { name: 'keys', icon: 'keys', letter: 'k' },
  { name: 'requests', icon: 'requests', letter: 'r' },
  { name: 'operations', icon: 'operations', letter: 'p' },
  { name: 'clients', icon: 'clients', letter: 'c' },
  { name: 'fleet', icon: 'fleet', letter: 'f' },
  { name: 'settings', icon: 'settings', letter: 's' },
  { name: 'audit', icon: 'audit', letter: 'a' },
] as const satisfies readonly { name: string; icon: IconName; letter: string }[]

/** Details are children of their list, so that the list stays on the screen while they are open. */
const routes: RouteRecordRaw[] = [
  { path: '/', name: 'overview', component: () => import('@/pages/overview/OverviewPage.vue'), meta: { nav: 'overview', range: true } },
  { path: '/start', name: 'start', component: () => import('@/pages/start/StartPage.vue'), meta: { nav: 'groups' } },
  { path: '/groups', name: 'groups', component: () => import('@/pages/groups/GroupsPage.vue'), meta: { nav: 'groups' } },
  { path: '/groups/:id', name: 'group', component: () => import('@/pages/groups/GroupPage.vue'), meta: { nav: 'groups', range: true } },
  {
    path: '/keys',
    name: 'keys',
    component: () => import('@/pages/keys/KeysPage.vue'),
    meta: { nav: 'keys' },
    children: [{ path: ':key', name: 'key', component: () => import('@/pages/keys/KeyDrawer.vue') }],
  },
  {
    path: '/requests',
    name: 'requests',
    component: () => import('@/pages/requests/RequestsPage.vue'),
    meta: { nav: 'requests' },
    children: [{ path: ':id', name: 'request', component: () => import('@/pages/requests/RequestDrawer.vue') }],
  },
  {
    path: '/operations',
    name: 'operations',
    component: () => import('@/pages/operations/OperationsPage.vue'),
    meta: { nav: 'operations' },
    children: [{ path: ':id', name: 'operation', component: () => import('@/pages/operations/OperationDrawer.vue') }],
  },
  { path: '/clients', name: 'clients', component: () => import('@/pages/clients/ClientsPage.vue'), meta: { nav: 'clients' } },
  { path: '/fleet', name: 'fleet', component: () => import('@/pages/fleet/FleetPage.vue'), meta: { nav: 'fleet' } },
  { path: '/settings', name: 'settings', component: () => import('@/pages/settings/SettingsPage.vue'), meta: { nav: 'settings' } },
  {
    path: '/audit',
    name: 'audit',
    component: () => import('@/pages/audit/AuditPage.vue'),
    meta: { nav: 'audit' },
    children: [{ path: ':id', name: 'event', component: () => import('@/pages/audit/EventDrawer.vue') }],
  },
  { path: '/:lost(.*)*', name: 'lost', component: () => import('@/layout/LostPage.vue') },
]

export const router = createRouter({
  history: createWebHistory(root),
  routes,
  scrollBehavior: (_, __, saved) => saved ?? (_.name === __.name ? undefined : { top: 0 }),
})

// A console that was open during an upgrade asks for files that the new version does not have. Loading it again gets the new ones;
// once, so that a server that is down does not make a circle of it.
const reloaded = 'gpt-load.reloaded'
router.onError((_, to) => {
  if (sessionStorage.getItem(reloaded) === to.fullPath) return
  sessionStorage.setItem(reloaded, to.fullPath)
  location.assign(router.resolve(to.fullPath).href)
})
router.afterEach(() => sessionStorage.removeItem(reloaded))
