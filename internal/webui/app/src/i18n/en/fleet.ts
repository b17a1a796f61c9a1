export default {
  title: 'fleet',
}
