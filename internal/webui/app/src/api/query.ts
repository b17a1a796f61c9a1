import { QueryClient } from '@tanstack/vue-query'
import { ApiError } from './errors'

/** Data younger than this is shown without asking again. */
const freshFor = 4_000

/**
 * queries caches the answers of the API. Old answers stay on the screen while new ones are on the way; answers that nothing shows
 * are dropped after a minute, so that a console that is open for days does not grow.
 */
export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: freshFor,
      gcTime: 60_000,
      retry: (count, error) => count < 3 && error instanceof ApiError && (error.status === 0 || error.status === 503),
      retryDelay: (count) => Math.min(1000 * 2 ** count, 8000),
      refetchOnWindowFocus: true,
    },
    mutations: { retry: false },
  },
})
