export default {
  title: 'keys',
}
