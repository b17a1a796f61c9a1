import type { Group, Wire } from '@/api/types'
import { changedFields } from '@/forms/merge'

/** What the configuration form of a group holds. Figures are texts until they are sent, so that nothing typed is lost. */
export interface GroupForm {
  name: string
  display_name: string
  description: string
  upstreams: { url: string; weight: string }[]
  model_redirects: { from: string; to: string }[]
  model_redirect_strict: boolean
  /** Value is JSON. */
  param_overrides: { path: string; value: string; remove: boolean }[]
  header_rules: { name: string; action: 'set' | 'remove'; value: string }[]
  validation: { off: boolean; model: string; path: string; payload: string }
  /** One a line; undefined while nobody asked to see them, since the API masks them. */
  proxy_keys?: string
}

export type GroupPatch = Wire<'GroupPatch'>

/** formOf is a group as the form shows it. Client keys come in only when they are in clear. */
export function formOf(group: Group, revealed = false): GroupForm {
  return {
    name: group.name,
    display_name: group.display_name,
    description: group.description,
    upstreams: (group.upstreams ?? []).map((u) => ({ url: u.url, weight: String(u.weight) })),
    model_redirects: (group.model_redirects ?? []).map((r) => ({ from: r.from, to: r.to })),
    model_redirect_strict: group.model_redirect_strict,
    param_overrides: (group.param_overrides ?? []).map((o) => ({ path: o.path, value: o.remove ? '' : JSON.stringify(o.value), remove: o.remove ?? false })),
    header_rules: (group.header_rules ?? []).map((r) => ({ name: r.name, action: r.action === 'remove' ? 'remove' : 'set', value: r.value ?? '' })),
    validation: { off: group.validation.off ?? false, model: group.validation.model ?? '', path: group.validation.path ?? '', payload: group.validation.payload ?? '' },
    proxy_keys: revealed ? (group.proxy_keys ?? []).join('\n') : undefined,
  }
}

/** A problem of one field, by the path that the API gives it as well. */
export type Problems = Map<string, 'json' | 'number'>

/** problemsOf finds what cannot even be sent. Everything else is the server's to say. */
export function problemsOf(form: GroupForm): Problems {
  const problems: Problems = new Map()
  form.upstreams.forEach((u, i) => {
    if (u.weight.trim() === '' || !Number.isInteger(Number(u.weight))) problems.set(`upstreams[${i}].weight`, 'number')
  })
  form.param_overrides.forEach((o, i) => {
    if (!o.remove && !isJSON(o.value)) problems.set(`param_overrides[${i}].value`, 'json')
  })
  return problems
}

export function isJSON(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** patchOf is what changed, as the API takes it. The form has no problems. */
export function patchOf(base: GroupForm, form: GroupForm): GroupPatch {
  const patch: GroupPatch = {}
  for (const field of changedFields(base, form)) {
    switch (field) {
      case 'upstreams':
        patch.upstreams = form.upstreams.map((u) => ({ url: u.url.trim(), weight: Number(u.weight) }))
        break
      case 'param_overrides':
        patch.param_overrides = form.param_overrides.map((o) => (o.remove ? { path: o.path.trim(), remove: true } : { path: o.path.trim(), value: JSON.parse(o.value) as never }))
        break
      case 'header_rules':
        patch.header_rules = form.header_rules.map((r) => ({ name: r.name.trim(), action: r.action, ...(r.action === 'set' ? { value: r.value } : {}) }))
        break
      case 'model_redirects':
        patch.model_redirects = form.model_redirects.map((r) => ({ from: r.from.trim(), to: r.to.trim() }))
        break
      case 'proxy_keys':
        patch.proxy_keys = linesOf(form.proxy_keys ?? '')
        break
      case 'validation':
        patch.validation = { ...form.validation }
        break
      case 'model_redirect_strict':
        patch.model_redirect_strict = form.model_redirect_strict
        break
      default:
        patch[field] = form[field].trim()
    }
  }
  return patch
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
}
