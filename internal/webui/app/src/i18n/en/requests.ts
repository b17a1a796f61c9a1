export default {
  title: 'requests',
}
