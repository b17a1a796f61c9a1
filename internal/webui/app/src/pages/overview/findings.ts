import type { Wire } from '@/api/types'
import { m } from '@/i18n'

/** findingText says a finding in the operator's language, or in the server's words. */
export function findingText(finding: Wire<'Finding'>): { message: string; remedy: string } {
  return m.value.overview.findings[finding.code] ?? { message: finding.message, remedy: finding.remedy }
}
