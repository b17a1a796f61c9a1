export default {
  title: 'start',
}
