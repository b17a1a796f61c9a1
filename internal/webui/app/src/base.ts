/** Path of the console's root, with a slash at its end: "/" or, below a path prefix, such as "/gpt-load/". */
export const root = new URL('.', document.baseURI).pathname

/** Address of the admin API. */
export const apiURL = new URL('api/v1', document.baseURI).href
