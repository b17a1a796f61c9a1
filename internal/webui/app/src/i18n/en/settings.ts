export default {
  title: 'settings',
}
