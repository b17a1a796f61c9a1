import './style.css'
import { VueQueryPlugin } from '@tanstack/vue-query'
import { createApp } from 'vue'
import App from '@/App.vue'
import { queries } from '@/api/query'
import { startLanguage } from '@/i18n'
import { router } from '@/router'
import { watchTheme } from '@/theme'

watchTheme()
// A language that cannot be loaded leaves English.
await startLanguage().catch(() => undefined)
createApp(App).use(router).use(VueQueryPlugin, { queryClient: queries }).mount('#app')
