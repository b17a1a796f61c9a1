export default {
  title: 'operations',
}
