import { gzipSync } from 'node:zlib'
import tailwindcss from '@tailwindcss/vite'
import vue from '@vitejs/plugin-vue'
import { defineConfig, type Plugin } from 'vitest/config'

/** Leaves every file compressed beside itself, so that the server never compresses the same bytes twice. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    enforce: 'post',
    generateBundle(_, bundle) {
      for (const [name, file] of Object.entries(bundle)) {
        const content = file.type === 'chunk' ? file.code : file.source
        if (name.endsWith('.html') || content.length < 1024) continue
        this.emitFile({ type: 'asset', fileName: `${name}.gz`, source: gzipSync(content, { level: 9 }) })
      }
    },
  }
}

export default defineConfig({
  // Relative: the page's base element says where the console's root is.
  base: './',
  plugins: [vue(), tailwindcss(), compressed()],
  resolve: { alias: { '@': new URL('./src', import.meta.url).pathname } },
  build: { outDir: '../dist', emptyOutDir: true, target: 'es2022', modulePreload: { polyfill: false } },
  server: { proxy: { '/api': 'http://127.0.0.1:3001' } },
  test: { environment: 'jsdom', environmentOptions: { jsdom: { url: 'http://console.test/' } }, include: ['src/**/*.test.ts'] },
})
